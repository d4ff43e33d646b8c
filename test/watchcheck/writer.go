package watchcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Writer writes objects that only it writes, each when its turn comes, and notes what was acknowledged.
type Writer struct {
	Client *Client
	Ledger *Ledger
	Name   string
	Random *rand.Rand

	n     int
	known map[string]string // resourceVersions, "" where the object is known not to be there
}

// The values that labels, nodes and namespaces take.
var (
	Namespaces = []string{"wide", "narrow", "deep"}
	colours    = []string{"red", "green", "blue"}
	nodes      = []string{"", "n1", "n2"}
)

// Run writes at each of its turns until there are no more.
func (w *Writer) Run(ctx context.Context, turns <-chan struct{}) {
	w.known = map[string]string{}
	for range turns {
		w.one(context.WithoutCancel(ctx))
	}
}

// Turns gives so many turns a second to whoever is free, until ctx ends. Turns that nobody could take in time are
// taken later.
func Turns(ctx context.Context, perSecond int) <-chan struct{} {
	turns := make(chan struct{})
	go func() {
		defer close(turns)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		begun := time.Now()
		for given := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for due := int(time.Since(begun).Seconds() * float64(perSecond)); given < due; given++ {
				select {
				case <-ctx.Done():
					return
				case turns <- struct{}{}:
				}
			}
		}
	}()
	return turns
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// one makes, changes or removes an object.
func (w *Writer) one(ctx context.Context) {
	resource := pick(w.Random, []string{"configmaps", "configmaps", "configmaps", "pods", "pods", "widgets", "events"})
	namespace, name := pick(w.Random, Namespaces), fmt.Sprintf("%s-%d", w.Name, w.Random.IntN(4))
	if w.n++; resource == "events" {
		name = fmt.Sprintf("%s-%d", w.Name, w.n)
	}
	s := Selector{Resource: resource, Namespace: namespace}
	one := s.path() + "/" + name
	id := resource + " " + namespace + "/" + name
	server := w.Random.IntN(len(w.Client.URLs))
	version, sure := w.known[id]
	if !sure && resource != "events" {
		if version, sure = w.look(ctx, server, one); !sure {
			return
		}
	}
	write := Write{Resource: resource, Key: namespace + "/" + name, Mark: fmt.Sprintf("%s.%d", w.Name, w.n)}
	object := Object(resource, namespace, name, write.Mark, pick(w.Random, colours), pick(w.Random, nodes))
	switch roll := w.Random.IntN(10); {
	case version == "":
		w.write(ctx, server, id, write, http.MethodPost, s.path(), formatJSON, object)
	case roll < 3:
		write.Mark = ""
		w.write(ctx, server, id, write, http.MethodDelete, one+"?gracePeriodSeconds=0", "", nil)
	case roll < 6 && resource != "pods":
		object["metadata"].(map[string]any)["resourceVersion"] = version
		w.write(ctx, server, id, write, http.MethodPut, one, formatJSON, object)
	default:
		patch := map[string]any{"metadata": map[string]any{"annotations": map[string]string{mark: write.Mark}, "labels": map[string]string{"colour": pick(w.Random, colours)}}}
		if resource == "pods" && roll < 8 {
			patch["status"] = map[string]string{"phase": pick(w.Random, []string{"Pending", "Running"})}
			one += "/status"
		}
		w.write(ctx, server, id, write, http.MethodPatch, one, "application/merge-patch+json", patch)
	}
}

// look reads an object's version anew, after a write of which nobody knows.
func (w *Writer) look(ctx context.Context, server int, path string) (version string, sure bool) {
	code, answer, _ := w.Client.Do(ctx, server, http.MethodGet, path, "", nil) // no answer is code 0
	switch code {
	case http.StatusOK:
		return versionOf(answer), true
	case http.StatusNotFound:
		return "", true
	}
	return "", false
}

func versionOf(answer []byte) string {
	var o struct {
		Metadata struct{ ResourceVersion string }
	}
	_ = json.Unmarshal(answer, &o) // the ledger refuses a version that is none
	return o.Metadata.ResourceVersion
}

func (w *Writer) write(ctx context.Context, server int, id string, write Write, method, path, media string, object any) {
	code, answer, _ := w.Client.Do(ctx, server, method, path, media, object)
	switch {
	case code/100 == 2 && write.Mark == "":
		w.known[id] = ""
	case code/100 == 2:
		w.known[id] = versionOf(answer)
		write.Revision, _ = strconv.ParseInt(w.known[id], 10, 64)
	case code == http.StatusConflict || code == http.StatusNotFound:
		delete(w.known, id) // refused, because an earlier one happened
		return
	default:
		delete(w.known, id)
		write.Maybe = true
	}
	w.Ledger.add(write)
}

// Object is an object with a mark. Its size makes that slow readers are behind.
func Object(resource, namespace, name, marked, colour, node string) map[string]any {
	o := map[string]any{"metadata": map[string]any{
		"namespace": namespace, "name": name,
		"annotations": map[string]string{mark: marked}, "labels": map[string]string{"colour": colour},
	}}
	switch resource {
	case "configmaps":
		o["apiVersion"], o["kind"] = "v1", "ConfigMap"
		o["data"] = map[string]string{"filling": strings.Repeat("x", 1000)}
	case "pods":
		o["apiVersion"], o["kind"] = "v1", "Pod"
		o["spec"] = map[string]any{"nodeName": node, "containers": []any{map[string]string{"name": "c", "image": "i"}}}
	case "events":
		o["apiVersion"], o["kind"] = "v1", "Event"
		o["involvedObject"] = map[string]string{"namespace": namespace, "name": name, "kind": "ConfigMap"}
	case "widgets":
		o["apiVersion"], o["kind"] = "example.com/v1", "Widget"
		o["spec"] = map[string]any{"filling": strings.Repeat("x", 100)}
	}
	return o
}
