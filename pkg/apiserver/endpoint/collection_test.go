package endpoint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// fleet is boats with labels: boat-000 has the first, and so on.
func fleet(t *testing.T, labels ...string) *Served {
	t.Helper()
	stored := make([]string, len(labels))
	for i, l := range labels {
		stored[i] = strings.Replace(boat(fmt.Sprintf("boat-%03d", i), "v1", nil), `"metadata":{`, `"metadata":{"labels":{"l":"`+l+`"},`, 1)
	}
	return boats(t, stored...)
}

// listed is an answer's list, as far as these tests look at it.
type listed struct {
	Metadata struct {
		Continue        string
		ResourceVersion string
		Remaining       *int64 `json:"remainingItemCount"`
	}
	Items []struct{ Metadata struct{ Name string } }
}

// collection asks for the collection of the namespace n, and gives the answer's code and list.
func collection(t *testing.T, s *Served, method, query string) (int, listed) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/apis/example.com/v1/namespaces/n/boats?"+query, http.NoBody)
	info, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	r = r.WithContext(request.Begin(r.Context(), info))
	w := httptest.NewRecorder()
	if method == http.MethodDelete {
		s.deleteCollection(w, r, collectionOf(info), admission.Chain{})
	} else {
		s.list(w, r, collectionOf(info))
	}
	var l listed
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil {
		t.Fatalf("%s %s: %v: %s", method, query, err, w.Body)
	}
	return w.Code, l
}

func (l listed) names() (names []string) {
	for _, item := range l.Items {
		names = append(names, strings.TrimPrefix(item.Metadata.Name, "boat-00"))
	}
	return names
}

// TestAFullPageGoesOnWhileAnythingFollows: whether what follows is selected is not looked at before it is asked for.
func TestAFullPageGoesOnWhileAnythingFollows(t *testing.T) {
	s := fleet(t, "a", "a", "b", "a", "b")
	for _, c := range []struct {
		query, names string
		goesOn       bool
		then         string
	}{
		{"limit=2", "0 1", true, "2 3"},
		{"limit=5", "0 1 2 3 4", false, ""},
		{"limit=2&labelSelector=l%3Da", "0 1", true, "3"},
		{"limit=3&labelSelector=l%3Da", "0 1 3", true, ""},
		{"limit=4&labelSelector=l%3Da", "0 1 3", false, ""},
		{"limit=2&labelSelector=l%3Db", "2 4", false, ""},
		{"limit=1&labelSelector=l%3Dc", "", false, ""},
		{"limit=1&fieldSelector=metadata.name%3Dboat-001", "1", false, ""},
		{"limit=4&fieldSelector=metadata.name!%3Dboat-004", "0 1 2 3", true, ""},
	} {
		_, l := collection(t, s, http.MethodGet, c.query)
		if got := strings.Join(l.names(), " "); got != c.names || (l.Metadata.Continue != "") != c.goesOn {
			t.Errorf("%s: %q, goes on with %q; want %q and %v", c.query, got, l.Metadata.Continue, c.names, c.goesOn)
		}
		if selects := strings.Contains(c.query, "Selector"); c.goesOn && (l.Metadata.Remaining == nil) != selects {
			t.Errorf("%s: remaining are %v", c.query, l.Metadata.Remaining)
		}
		if !c.goesOn {
			continue
		}
		_, l = collection(t, s, http.MethodGet, c.query+"&continue="+l.Metadata.Continue)
		if got := strings.Join(l.names(), " "); got != c.then {
			t.Errorf("%s goes on with %q, want %q", c.query, got, c.then)
		}
	}
}

// TestACollectionIsDeletedAsItWasAtAVersion: what came into being later stays. The version is a precondition, too.
func TestACollectionIsDeletedAsItWasAtAVersion(t *testing.T) {
	s := fleet(t, "a", "a")
	first, _ := s.Cached.Get(s.KeyPrefix("n") + "boat-000")
	code, l := collection(t, s, http.MethodDelete, fmt.Sprintf("resourceVersion=%d", first.Revision()))
	if code != http.StatusOK || !slices.Equal(l.names(), []string{"0"}) {
		t.Errorf("%d: %v was deleted, want boat-000 alone", code, l.names())
	}
	if _, l = collection(t, s, http.MethodGet, ""); !slices.Equal(l.names(), []string{"1"}) {
		t.Errorf("%v is left", l.names())
	}
	if code, l = collection(t, s, http.MethodDelete, ""); code != http.StatusOK || !slices.Equal(l.names(), []string{"1"}) {
		t.Errorf("%d: %v was deleted, want the rest", code, l.names())
	}
}
