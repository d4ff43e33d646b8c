package apiserver

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// together runs n of a kind at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func TestOneOfManyCreatorsWins(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	for round := range 20 {
		var created, exist atomic.Int32
		together(8, func(int) {
			switch got := admin.send(t, "POST", configMaps, mediaJSON, configMap(fmt.Sprintf("c%d", round), 1)); got.code {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusConflict:
				exist.Add(1)
			default:
				t.Errorf("answered %d %s", got.code, got.message())
			}
		})
		if created.Load() != 1 || exist.Load() != 7 {
			t.Errorf("round %d: %d made it, %d were told that it exists", round, created.Load(), exist.Load())
		}
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	admin := start(t, memory(t)).as(adminToken)
	admin.send(t, "POST", configMaps, mediaJSON, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"n":"0"}}`)).want(t, "create", http.StatusCreated, "")
	const writers, writes = 3, 6
	kinds := map[string]string{
		mediaMerge:                               `{"data":{"%[1]s":"x"}}`,
		"application/strategic-merge-patch+json": `{"data":{"%[1]s":"x"}}`,
		"application/json-patch+json":            `[{"op":"add","path":"/data/%[1]s","value":"x"}]`,
	}
	var patchers sync.WaitGroup
	for media, body := range kinds {
		patchers.Go(func() {
			together(writers, func(w int) {
				for i := range writes {
					key := fmt.Sprintf("%d-%d-%d", len(media), w, i)
					admin.send(t, "PATCH", configMaps+"/c", media, fmt.Appendf(nil, body, key)).want(t, media, http.StatusOK, "")
				}
			})
		})
	}
	// Beside them are writers that read, count one up, and are refused when another wrote in between.
	var refused atomic.Int32
	together(writers, func(int) {
		for done := 0; done < writes; {
			o := admin.must(t, http.StatusOK, "GET", configMaps+"/c", nil)
			data := o["data"].(map[string]any)
			n, err := strconv.Atoi(data["n"].(string))
			if err != nil {
				t.Error(err)
				return
			}
			data["n"] = strconv.Itoa(n + 1)
			switch code, out := admin.do(t, "PUT", configMaps+"/c", o); code {
			case http.StatusOK:
				done++
			case http.StatusConflict:
				refused.Add(1)
			default:
				t.Errorf("answered %d %v", code, out)
				return
			}
		}
	})
	patchers.Wait()
	data := admin.must(t, http.StatusOK, "GET", configMaps+"/c", nil)["data"].(map[string]any)
	if got := data["n"]; got != strconv.Itoa(writers*writes) {
		t.Errorf("counted to %v, want %d", got, writers*writes)
	}
	if want := len(kinds)*writers*writes + 1; len(data) != want {
		t.Errorf("%d keys are there, want %d", len(data), want)
	}
	if refused.Load() == 0 {
		t.Error("no writer met another: the test tells nothing")
	}
}

func TestGeneratedNamesDiffer(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	var mu sync.Mutex
	names := map[string]bool{}
	together(8, func(int) {
		for range 125 {
			got := admin.send(t, "POST", configMaps, mediaJSON, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"g-"}}`))
			if got.code != http.StatusCreated {
				t.Errorf("answered %d %s", got.code, got.message())
				continue
			}
			mu.Lock()
			names[at(got.object(t), "metadata.name")] = true
			mu.Unlock()
		}
	})
	if len(names) != 1000 {
		t.Errorf("1000 objects have %d names", len(names))
	}
}

func TestNothingIsMadeInNamespacesOnTheirWayOut(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const inside = "/api/v1/namespaces/going/configmaps"
	for round := range 5 {
		admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces", object("v1", "Namespace", "going"))
		var deleted atomic.Bool
		var creators sync.WaitGroup
		for w := range 4 {
			creators.Go(func() {
				for i := range 20 {
					before := deleted.Load()
					got := admin.send(t, "POST", inside, mediaJSON, configMap(fmt.Sprintf("c-%d-%d-%d", round, w, i), 1))
					switch {
					case got.code == http.StatusCreated && before:
						t.Errorf("round %d: something was made after the deletion was answered", round)
					case got.code == http.StatusForbidden:
						got.want(t, "a creation in it", http.StatusForbidden, "because it is being terminated")
						return
					case got.code != http.StatusCreated:
						t.Errorf("answered %d %s", got.code, got.message())
					}
				}
			})
		}
		admin.must(t, http.StatusOK, "DELETE", "/api/v1/namespaces/going", nil)
		deleted.Store(true)
		creators.Wait()
		admin.must(t, http.StatusOK, "DELETE", inside, nil)
		finalized := object("v1", "Namespace", "going")
		finalized["spec"] = map[string]any{}
		admin.must(t, http.StatusOK, "PUT", "/api/v1/namespaces/going/finalize", finalized)
		until(t, "the namespace is gone", func() bool {
			code, _ := admin.do(t, "GET", "/api/v1/namespaces/going", nil)
			return code == http.StatusNotFound
		})
		admin.send(t, "POST", inside, mediaJSON, configMap("late", 1)).want(t, "a creation without a namespace", http.StatusNotFound, `namespaces "going" not found`)
	}
}
