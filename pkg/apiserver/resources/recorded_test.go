package resources

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/allocation"
	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// recorded is one request of a scenario with the answer that kube-apiserver gave.
type recorded struct {
	file string
	step int
	do   string
	body []byte
	code int
	got  metav1.Status
}

// creates finds, in the recorded scenarios, what was to be created in each collection and judged invalid.
func creates(t *testing.T) map[string][]recorded {
	t.Helper()
	files, err := filepath.Glob("../../../test/oracle/scenarios/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	found := map[string][]recorded{}
	for _, file := range files {
		var scenario struct {
			Steps []struct {
				Do   string          `json:"do"`
				Body json.RawMessage `json:"body"`
			} `json:"steps"`
		}
		var golden []struct {
			Code int             `json:"code"`
			Body json.RawMessage `json:"body"`
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &scenario); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if text, err = os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".golden.json"); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &golden); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for i, s := range scenario.Steps {
			at, _, _ := strings.Cut(s.Do, "?")
			if !strings.HasPrefix(at, "POST ") || strings.Contains(string(s.Body), "$long") || !strings.HasPrefix(string(s.Body), "{") || i >= len(golden) || golden[i].Code != 422 {
				continue
			}
			r := recorded{file: filepath.Base(file), step: i, do: s.Do, body: s.Body, code: golden[i].Code}
			if err := json.Unmarshal(golden[i].Body, &r.got); err != nil || r.got.Details == nil || r.got.Details.Group == "meta.k8s.io" {
				continue // what is wrong is in the query
			}
			if strings.Contains(r.got.Message, "is already allocated") || strings.Contains(r.got.Message, "ValidatingAdmissionPolicy") {
				continue // what is wrong is what steps before have left
			}
			path := strings.TrimPrefix(at, "POST ")
			found[path] = append(found[path], r)
		}
	}
	return found
}

func pathOf(r *resource.Resource) string {
	if r.ClusterScoped && r.Kind.Group == "" {
		return "/api/v1/" + r.Plural
	}
	if r.ClusterScoped {
		return "/apis/" + r.Kind.Group + "/" + r.Kind.Version + "/" + r.Plural
	}
	if r.Kind.Group == "" {
		return "/api/v1/namespaces/$ns/" + r.Plural
	}
	return "/apis/" + r.Kind.Group + "/" + r.Kind.Version + "/namespaces/$ns/" + r.Plural
}

// causes gives faults as they stand in an answer, but those of metadata, which are not the kind's own. They
// are sorted: where upstream ranges over maps the order differs from run to run.
func causes(faults field.ErrorList) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Field+": "+f.ErrorBody())
	}
	return ownCauses(out)
}

func ownCauses(list []string) []string {
	var out []string
	for _, text := range list {
		if !strings.HasPrefix(text, "metadata.") {
			out = append(out, text)
		}
	}
	return out
}

func TestCreationsAreRefusedAsRecorded(t *testing.T) {
	all := creates(t)
	for _, r := range All(testDeps()) {
		if r.Validate == nil {
			continue
		}
		for _, want := range all[pathOf(r)] {
			t.Run(r.Plural+"/"+want.file, func(t *testing.T) {
				obj := r.New()
				if err := runtime.DecodeInto(serializer.NewCodecFactory(kinds.Scheme()).UniversalDeserializer(), []byte(named(string(want.body))), obj); err != nil {
					t.Fatal(err)
				}
				ctx := context.Background()
				obj.SetNamespace("ns")
				obj.SetUID("uid")
				if pod, is := obj.(*corev1.Pod); is && pod.Spec.ServiceAccountName == "" {
					pod.Spec.ServiceAccountName = "default" // as admission does
				}
				if r.Default != nil {
					r.Default(obj)
				}
				var refused []string
				if r.Allocate != nil {
					_, _, err := r.Allocate(ctx, obj, nil, true)
					refused = refusal(t, err)
				}
				if r.Prepare != nil {
					r.Prepare(ctx, obj, nil)
				}
				var recorded []string
				for _, c := range want.got.Details.Causes {
					recorded = append(recorded, c.Field+": "+named(c.Message))
				}
				got, expected := refused, ownCauses(recorded)
				if refused == nil {
					got = causes(r.Validate(ctx, obj, nil))
				}
				if diff := cmp.Diff(expected, got); diff != "" {
					if sort.Strings(got); cmp.Equal(sorted(expected), got) {
						diff = "only the order differs\n" + diff
					}
					t.Errorf("step %d %s: recorded (-), here (+):\n%s", want.step, want.do, diff)
				}
			})
		}
	}
}

// refusal gives the causes of an error that comes before validation.
func refusal(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		out = append(out, c.Field+": "+c.Message)
	}
	return out
}

// named fills in the names that every replay makes up, and the UID of the object.
func named(text string) string {
	return strings.NewReplacer("$ns", "ns", "$id", "id", "<uid>", "uid").Replace(text)
}

func sorted(list []string) []string {
	out := append([]string(nil), list...)
	sort.Strings(out)
	return out
}

func testDeps() Deps {
	access := resourcetest.New()
	_, _ = access.Create(context.Background(), schema.GroupResource{Group: networkingv1.GroupName, Resource: "servicecidrs"}, &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}},
		Status: networkingv1.ServiceCIDRStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue}}},
	})
	allocator := allocation.New(allocation.Config{
		Access: access, Families: []corev1.IPFamily{corev1.IPv4Protocol}, NodePorts: allocation.PortRange{First: 30000, Size: 2768},
		Random: func(uint64) uint64 { return 0 }, Now: time.Now, Log: logr.Discard(),
	})
	return Deps{AllowPrivileged: true, Access: access, Allocator: allocator, Clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
}
