package devices

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func fieldsOf(faults field.ErrorList) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field+": "+string(f.Type))
	}
	return list
}

func TestSelectorsAreCompiled(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"a driver", `device.driver == "d"`, ""},
		{"an attribute, whose type is not known", `device.attributes["d"].a`, ""},
		{"a capacity", `device.capacity["d"].m.compareTo(quantity("1Gi")) >= 0`, ""},
		{"a version", `device.attributes["d"].v.isGreaterThan(semver("1.0.0"))`, ""},
		{"a name for what is used twice", `cel.bind(a, device.attributes["d"], a.x && a.y)`, ""},
		{"several users", `device.allowMultipleAllocations == true`, ""},
		{"no answer of yes and no", `device.driver`, "must evaluate to bool or the unknown type, not string"},
		{"a field that is none", `device.nothing`, "undefined field 'nothing'"},
		{"a variable that is none", `node.name == "n"`, "undeclared reference to 'node'"},
		{"what takes too long", `device.attributes["d"].all(a, device.attributes["d"].all(b, device.attributes["d"].all(c, device.attributes["d"].all(e, device.attributes["d"][a].lowerAscii() == "x"))))`,
			"too complex, exceeds cost limit"},
		{"10 KiB", strings.Repeat(" ", resourcev1.CELSelectorExpressionMaxLength-4) + "true", ""},
		{"more", strings.Repeat(" ", resourcev1.CELSelectorExpressionMaxLength-3) + "true", "Too long"},
	} {
		faults := validateExpression(field.NewPath("e"), test.text)
		switch {
		case test.want == "" && len(faults) > 0:
			t.Errorf("%s: %v", test.name, faults)
		case test.want != "" && (len(faults) != 1 || !strings.Contains(faults[0].Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, faults, test.want)
		}
	}
}

// asking is a claim's spec of one request, changed by edit and with what is not said filled in.
func asking(edit func(*resourcev1.DeviceClaim)) *resourcev1.ResourceClaimSpec {
	s := &resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
		{Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "c"}},
	}}}
	edit(&s.Devices)
	defaultClaimSpec(s)
	return s
}

func TestClaimsAreJudgedOnBothSidesOfEachBound(t *testing.T) {
	const r = "s.devices.requests"
	many := func(n int) func(*resourcev1.DeviceClaim) {
		return func(c *resourcev1.DeviceClaim) {
			c.Requests = nil
			for i := range n {
				c.Requests = append(c.Requests, resourcev1.DeviceRequest{Name: fmt.Sprint("r", i), Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "c"}})
			}
		}
	}
	exactly := func(edit func(*resourcev1.ExactDeviceRequest)) func(*resourcev1.DeviceClaim) {
		return func(c *resourcev1.DeviceClaim) { edit(c.Requests[0].Exactly) }
	}
	alternatives := func(names ...string) func(*resourcev1.DeviceClaim) {
		return func(c *resourcev1.DeviceClaim) {
			c.Requests[0].Exactly = nil
			for _, name := range names {
				c.Requests[0].FirstAvailable = append(c.Requests[0].FirstAvailable, resourcev1.DeviceSubRequest{Name: name, DeviceClassName: "c"})
			}
		}
	}
	constrained := func(names ...string) func(*resourcev1.DeviceClaim) {
		return func(c *resourcev1.DeviceClaim) {
			alternatives("a")(c)
			c.Constraints = []resourcev1.DeviceConstraint{{Requests: names, MatchAttribute: new(resourcev1.FullyQualifiedName("d/n"))}}
		}
	}
	tolerating := func(tol resourcev1.DeviceToleration) func(*resourcev1.DeviceClaim) {
		return exactly(func(e *resourcev1.ExactDeviceRequest) { e.Tolerations = []resourcev1.DeviceToleration{tol} })
	}
	for _, test := range []struct {
		name string
		edit func(*resourcev1.DeviceClaim)
		want []string
	}{
		{"one device", func(*resourcev1.DeviceClaim) {}, nil},
		{"nothing", func(c *resourcev1.DeviceClaim) { c.Requests = nil }, nil},
		{"32 requests", many(32), nil},
		{"33 requests", many(33), []string{r + ": FieldValueTooMany"}},
		{"one name twice", func(c *resourcev1.DeviceClaim) { c.Requests = append(c.Requests, c.Requests[0]) }, []string{r + "[1]: FieldValueDuplicate"}},
		{"no way to ask", func(c *resourcev1.DeviceClaim) { c.Requests[0].Exactly = nil }, []string{r + "[0]: FieldValueRequired"}},
		{"two ways to ask", func(c *resourcev1.DeviceClaim) {
			e := c.Requests[0].Exactly
			alternatives("a")(c)
			c.Requests[0].Exactly = e
		}, []string{r + "[0]: FieldValueInvalid"}},
		{"fewer than one", exactly(func(e *resourcev1.ExactDeviceRequest) { e.Count = -1 }), []string{r + "[0].exactly.count: FieldValueInvalid"}},
		{"all of them", exactly(func(e *resourcev1.ExactDeviceRequest) { e.AllocationMode = resourcev1.DeviceAllocationModeAll }), nil},
		{"two of all", exactly(func(e *resourcev1.ExactDeviceRequest) {
			e.AllocationMode, e.Count = resourcev1.DeviceAllocationModeAll, 2
		}), []string{r + "[0].exactly.count: FieldValueInvalid"}},
		{"some", exactly(func(e *resourcev1.ExactDeviceRequest) { e.AllocationMode = "Some" }), []string{r + "[0].exactly.allocationMode: FieldValueNotSupported"}},
		{"no class", exactly(func(e *resourcev1.ExactDeviceRequest) { e.DeviceClassName = "" }), []string{r + "[0].exactly.deviceClassName: FieldValueRequired"}},
		{"8 alternatives", alternatives("a", "b", "c", "d", "e", "f", "g", "h"), nil},
		{"9 alternatives", alternatives("a", "b", "c", "d", "e", "f", "g", "h", "i"), []string{r + "[0].firstAvailable: FieldValueTooMany"}},
		{"one alternative twice", alternatives("a", "a"), []string{r + "[0].firstAvailable[1]: FieldValueDuplicate"}},
		{"a constraint on a request", constrained("r"), nil},
		{"a constraint on an alternative", constrained("r/a"), nil},
		{"a constraint on no alternative", constrained("r/b"), []string{"s.devices.constraints[0].requests[0]: FieldValueInvalid"}},
		{"a constraint on too deep a name", constrained("r/a/b"), []string{"s.devices.constraints[0].requests[0]: FieldValueInvalid"}},
		{"a constraint of nothing", func(c *resourcev1.DeviceClaim) { c.Constraints = make([]resourcev1.DeviceConstraint, 1) }, []string{"s.devices.constraints[0]: FieldValueRequired"}},
		{"an attribute without a domain", func(c *resourcev1.DeviceClaim) {
			c.Constraints = []resourcev1.DeviceConstraint{{DistinctAttribute: new(resourcev1.FullyQualifiedName("n"))}}
		}, []string{"s.devices.constraints[0].distinctAttribute: FieldValueInvalid"}},
		{"a value that any key has", tolerating(resourcev1.DeviceToleration{Operator: resourcev1.DeviceTolerationOpExists, Value: "v"}), []string{r + "[0].exactly.tolerations[0].value: FieldValueInvalid"}},
		{"an effect that is none", tolerating(resourcev1.DeviceToleration{Key: "k", Effect: "Explode"}), []string{r + "[0].exactly.tolerations[0].effect: FieldValueNotSupported"}},
		{"an operator that is none", tolerating(resourcev1.DeviceToleration{Key: "k", Operator: "Like"}), []string{r + "[0].exactly.tolerations[0].operator: FieldValueNotSupported"}},
	} {
		if got := fieldsOf(validateClaimSpec(field.NewPath("s"), asking(test.edit))); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// given is a claim that was given one device, changed by edit.
func given(edit func(*resourcev1.ResourceClaimStatus)) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}, Spec: *asking(func(*resourcev1.DeviceClaim) {})}
	c.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{
		Results: []resourcev1.DeviceRequestAllocationResult{{Request: "r", Driver: "d", Pool: "p/q", Device: "one"}},
	}}
	edit(&c.Status)
	return c
}

func TestWhatAClaimWasGivenStays(t *testing.T) {
	nothing := func(s *resourcev1.ResourceClaimStatus) { s.Allocation = nil }
	same := func(*resourcev1.ResourceClaimStatus) {}
	result := func(edit func(*resourcev1.DeviceRequestAllocationResult)) func(*resourcev1.ResourceClaimStatus) {
		return func(s *resourcev1.ResourceClaimStatus) { edit(&s.Allocation.Devices.Results[0]) }
	}
	users := func(ids ...types.UID) func(*resourcev1.ResourceClaimStatus) {
		return func(s *resourcev1.ResourceClaimStatus) {
			for _, id := range ids {
				s.ReservedFor = append(s.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: "p", UID: id})
			}
		}
	}
	crowd := func(n int) func(*resourcev1.ResourceClaimStatus) {
		return func(s *resourcev1.ResourceClaimStatus) {
			for i := range n {
				users(types.UID(fmt.Sprint(i)))(s)
			}
		}
	}
	told := func(edit func(*resourcev1.AllocatedDeviceStatus)) func(*resourcev1.ResourceClaimStatus) {
		return func(s *resourcev1.ResourceClaimStatus) {
			d := resourcev1.AllocatedDeviceStatus{Driver: "d", Pool: "p/q", Device: "one"}
			edit(&d)
			s.Devices = append(s.Devices, d)
		}
	}
	const uid = "01234567-89ab-cdef-0123-456789abcdef"
	const at = "status.allocation.devices.results[0]."
	for _, test := range []struct {
		name     string
		was, now func(*resourcev1.ResourceClaimStatus)
		leaving  bool
		want     []string
	}{
		{"a device", nothing, same, false, nil},
		{"for no request", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.Request = "s" }), false, []string{at + "request: FieldValueInvalid"}},
		{"of a bad pool", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.Pool = "p//q" }), false, []string{at + "pool: FieldValueInvalid"}},
		{"a share", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.ShareID = new(types.UID(uid)) }), false, nil},
		{"a share in capitals", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.ShareID = new(types.UID(strings.ToUpper(uid))) }), false, []string{at + "shareID: FieldValueInvalid"}},
		{"a share of no form", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.ShareID = new(types.UID("x" + uid[1:])) }), false, []string{at + "shareID: FieldValueInvalid"}},
		{"bound without a failure", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.BindingConditions = []string{"a"} }), false, []string{at + "bindingFailureConditions: FieldValueInvalid"}},
		{"bound and failed by one condition", nothing, result(func(r *resourcev1.DeviceRequestAllocationResult) {
			r.BindingConditions, r.BindingFailureConditions = []string{"a"}, []string{"a"}
		}), false, []string{at + "bindingFailureConditions[0]: FieldValueInvalid"}},
		{"another device", same, result(func(r *resourcev1.DeviceRequestAllocationResult) { r.Device = "two" }), false, []string{"status.allocation: FieldValueInvalid"}},
		{"given back", same, nothing, false, nil},
		{"used", same, users("1", "2"), false, nil},
		{"used without a device", nothing, func(s *resourcev1.ResourceClaimStatus) { nothing(s); users("1")(s) }, false, []string{"status.reservedFor: FieldValueForbidden"}},
		{"used twice by one", same, users("1", "1"), false, []string{"status.reservedFor[1]: FieldValueDuplicate"}},
		{"used by nobody", same, users(""), false, []string{"status.reservedFor[0].uid: FieldValueRequired"}},
		{"used by 256", same, crowd(256), false, nil},
		{"used by 257", same, crowd(257), false, []string{"status.reservedFor: FieldValueTooMany"}},
		{"used by fewer on its way out", users("1", "2"), users("1"), true, nil},
		{"used by more on its way out", users("1"), users("1", "2"), true, []string{"status.reservedFor: FieldValueForbidden"}},
		{"told of", same, told(func(*resourcev1.AllocatedDeviceStatus) {}), false, nil},
		{"told of another", same, told(func(d *resourcev1.AllocatedDeviceStatus) { d.Device = "two" }), false, []string{"status.devices[0]: FieldValueInvalid"}},
		{"told a list", same, told(func(d *resourcev1.AllocatedDeviceStatus) { d.Data = raw(`[]`) }), false, []string{"status.devices[0].data: FieldValueInvalid"}},
		{"10 KiB", same, told(func(d *resourcev1.AllocatedDeviceStatus) {
			d.Data = raw(`{}` + strings.Repeat(" ", resourcev1.AllocatedDeviceStatusDataMaxLength-2))
		}), false, nil},
		{"more", same, told(func(d *resourcev1.AllocatedDeviceStatus) {
			d.Data = raw(`{}` + strings.Repeat(" ", resourcev1.AllocatedDeviceStatusDataMaxLength-1))
		}), false, []string{"status.devices[0].data: FieldValueTooLong"}},
		{"an address", same, told(func(d *resourcev1.AllocatedDeviceStatus) {
			d.NetworkData = &resourcev1.NetworkDeviceData{IPs: []string{"10.0.0.1/24"}, InterfaceName: strings.Repeat("i", 256)}
		}), false, nil},
		{"an address twice, of too long a name", same, told(func(d *resourcev1.AllocatedDeviceStatus) {
			d.NetworkData = &resourcev1.NetworkDeviceData{IPs: []string{"10.0.0.1/24", "10.0.0.1/24"}, InterfaceName: strings.Repeat("i", 257)}
		}), false, []string{"status.devices[0].networkData.interfaceName: FieldValueTooLong", "status.devices[0].networkData.ips[1]: FieldValueDuplicate"}},
	} {
		now := given(test.now)
		if test.leaving {
			now.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		if got := fieldsOf(validateClaimStatus(now, given(test.was))); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestWhatIsToldOfADeviceGoesWithIt(t *testing.T) {
	old := given(func(s *resourcev1.ResourceClaimStatus) {
		s.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d", Pool: "p/q", Device: "one"}}
	})
	kept, gone := old.DeepCopy(), old.DeepCopy()
	gone.Status.Allocation = nil
	forgetGivenBack(&kept.Status, &old.Status)
	forgetGivenBack(&gone.Status, &old.Status)
	if len(kept.Status.Devices) != 1 || gone.Status.Devices != nil {
		t.Errorf("kept %v, gone %v", kept.Status.Devices, gone.Status.Devices)
	}
}

// allowed is an authorizer that allows what is listed: "verb resource/subresource namespace/name".
type allowed []string

func (a allowed) Authorize(_ context.Context, _ *request.User, i *request.Info) (authz.Decision, string, error) {
	if slices.Contains(a, fmt.Sprintf("%s %s/%s %s/%s", i.Verb, i.Resource, i.Subresource, i.Namespace, i.Name)) {
		return authz.Allow, "", nil
	}
	return authz.NoOpinion, "no", nil
}

func TestPartsOfAStatusNeedRightsOfTheirOwn(t *testing.T) {
	const binding, any, own = "update resourceclaims/binding /", "arbitrary-node:update resourceclaims/driver ns/d", "associated-node:update resourceclaims/driver ns/d"
	onNode := func(s *resourcev1.ResourceClaimStatus) {
		s.Allocation.NodeSelector = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n"}}},
		}}}
	}
	told := func(s *resourcev1.ResourceClaimStatus) {
		onNode(s)
		s.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "d", Pool: "p/q", Device: "one"}}
	}
	nothing := func(s *resourcev1.ResourceClaimStatus) { s.Allocation = nil }
	driver := &request.User{Name: "system:serviceaccount:ns:d", Extra: map[string][]string{nodeOfToken: {"n"}}}
	elsewhere := &request.User{Name: "system:serviceaccount:ns:d", Extra: map[string][]string{nodeOfToken: {"m"}}}
	for _, test := range []struct {
		name     string
		user     *request.User
		may      allowed
		was, now func(*resourcev1.ResourceClaimStatus)
		want     []string
	}{
		{"nothing changes", driver, nil, told, told, nil},
		{"binding", driver, allowed{binding}, nothing, onNode, nil},
		{"binding without the right", driver, allowed{any, own}, nothing, onNode, []string{"status: FieldValueForbidden"}},
		{"a driver on its node", driver, allowed{own}, onNode, told, nil},
		{"a driver on another node", elsewhere, allowed{own}, onNode, told, []string{"status.devices: FieldValueForbidden"}},
		{"a driver of all nodes", elsewhere, allowed{any}, onNode, told, nil},
		{"taking back what was told", driver, nil, told, onNode, []string{"status.devices: FieldValueForbidden"}},
		{"the server itself", nil, nil, nothing, told, nil},
	} {
		ctx := request.WithInfo(t.Context(), &request.Info{IsResource: true, Verb: "update", Group: resourcev1.GroupName, Version: "v1",
			Resource: "resourceclaims", Subresource: "status", Namespace: "ns", Name: "c"})
		if test.user != nil {
			ctx = request.WithUser(ctx, test.user)
		}
		if got := fieldsOf(mayWriteStatus(ctx, test.may, given(test.now), given(test.was))); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestAdministrationNeedsAMarkedNamespace(t *testing.T) {
	access := resourcetest.New()
	for name, label := range map[string]string{"marked": "true", "plain": "false"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{resourcev1.DRAAdminNamespaceLabelKey: label}}}
		if _, err := access.Create(t.Context(), schema.GroupResource{Resource: "namespaces"}, ns); err != nil {
			t.Fatal(err)
		}
	}
	admin := asking(func(c *resourcev1.DeviceClaim) { c.Requests[0].Exactly.AdminAccess = new(true) }).Devices.Requests
	for namespace, want := range map[string]string{"marked": "[]", "plain": "[spec.devices.requests[0].adminAccess: FieldValueForbidden]", "none": "[spec.devices.requests[0].adminAccess: InternalError]"} {
		if got := fmt.Sprint(fieldsOf(adminMayAsk(t.Context(), access, namespace, admin))); got != want {
			t.Errorf("%s: %s, want %s", namespace, got, want)
		}
	}
	now := given(func(s *resourcev1.ResourceClaimStatus) { s.Allocation.Devices.Results[0].AdminAccess = new(true) })
	now.Namespace = "plain"
	if got := fieldsOf(adminMayBeGiven(t.Context(), access, now, given(func(s *resourcev1.ResourceClaimStatus) { s.Allocation = nil }))); len(got) != 1 {
		t.Errorf("given in a namespace without the mark: %v", got)
	}
	if got := adminMayBeGiven(t.Context(), access, now, now); len(got) > 0 {
		t.Errorf("as it stands: %v", got)
	}
}

// offering is a slice of one device, changed by edit.
func offering(edit func(*resourcev1.ResourceSliceSpec)) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{
		Driver: "d", NodeName: new("n"), Pool: resourcev1.ResourcePool{Name: "p", ResourceSliceCount: 1}, Devices: []resourcev1.Device{{Name: "one"}},
	}}
	edit(&s.Spec)
	return s
}

func device(edit func(*resourcev1.Device)) func(*resourcev1.ResourceSliceSpec) {
	return func(s *resourcev1.ResourceSliceSpec) { edit(&s.Devices[0]) }
}

func TestSlicesAreJudgedOnBothSidesOfEachBound(t *testing.T) {
	many := func(n int, taint bool) func(*resourcev1.ResourceSliceSpec) {
		return func(s *resourcev1.ResourceSliceSpec) {
			s.Devices = nil
			for i := range n {
				s.Devices = append(s.Devices, resourcev1.Device{Name: fmt.Sprint("d", i)})
			}
			if taint {
				s.Devices[0].Taints = []resourcev1.DeviceTaint{{Key: "k", Effect: resourcev1.DeviceTaintEffectNone}}
			}
		}
	}
	attribute := func(name string, a resourcev1.DeviceAttribute) func(*resourcev1.ResourceSliceSpec) {
		return device(func(d *resourcev1.Device) {
			d.Attributes = map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{resourcev1.QualifiedName(name): a}
		})
	}
	attributes := func(n int) func(*resourcev1.ResourceSliceSpec) {
		return device(func(d *resourcev1.Device) {
			d.Attributes = map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{}
			for i := range n {
				d.Attributes[resourcev1.QualifiedName(fmt.Sprint("a", i))] = resourcev1.DeviceAttribute{IntValue: new(int64)}
			}
		})
	}
	text := func(n int) resourcev1.DeviceAttribute {
		return resourcev1.DeviceAttribute{StringValue: new(strings.Repeat("t", n))}
	}
	version := func(v string) func(*resourcev1.ResourceSliceSpec) {
		return attribute("v", resourcev1.DeviceAttribute{VersionValue: &v})
	}
	const one = "spec.devices[0]"
	bad := func(at string) []string { return []string{at + ": FieldValueInvalid"} }
	for _, test := range []struct {
		name     string
		was, now func(*resourcev1.ResourceSliceSpec)
		want     []string
	}{
		{"a device", nil, device(func(*resourcev1.Device) {}), nil},
		{"128 devices", nil, many(128, false), nil},
		{"129 devices", nil, many(129, false), []string{"spec.devices: FieldValueTooMany"}},
		{"64 devices, one tainted", nil, many(64, true), nil},
		{"65 devices, one tainted", nil, many(65, true), []string{"spec.devices: FieldValueTooMany"}},
		{"no slice in the pool", nil, func(s *resourcev1.ResourceSliceSpec) { s.Pool.ResourceSliceCount = 0 }, bad("spec.pool.resourceSliceCount")},
		{"a generation before the first", nil, func(s *resourcev1.ResourceSliceSpec) { s.Pool.Generation = -1 }, bad("spec.pool.generation")},
		{"nowhere", nil, func(s *resourcev1.ResourceSliceSpec) { s.NodeName = nil }, []string{"spec: FieldValueRequired"}},
		{"in two ways", nil, func(s *resourcev1.ResourceSliceSpec) { s.AllNodes = new(true) }, bad("spec")},
		{"not everywhere", nil, func(s *resourcev1.ResourceSliceSpec) { s.AllNodes = new(false) }, bad("spec.allNodes")},
		{"of two terms", nil, func(s *resourcev1.ResourceSliceSpec) {
			s.NodeName, s.NodeSelector = nil, &corev1.NodeSelector{NodeSelectorTerms: make([]corev1.NodeSelectorTerm, 2)}
		}, bad("spec.nodeSelector.nodeSelectorTerms")},
		{"counters beside devices", nil, func(s *resourcev1.ResourceSliceSpec) {
			s.SharedCounters = []resourcev1.CounterSet{{Name: "c", Counters: map[string]resourcev1.Counter{"x": {}}}}
		}, bad("spec")},
		{"a set without counters", nil, func(s *resourcev1.ResourceSliceSpec) {
			s.Devices, s.SharedCounters = nil, []resourcev1.CounterSet{{Name: "c"}}
		}, []string{"spec.sharedCounters[0].counters: FieldValueRequired"}},
		{"32 attributes", nil, attributes(32), nil},
		{"33 attributes", nil, attributes(33), bad(one)},
		{"a text of 64 letters", nil, attribute("a", text(64)), nil},
		{"a text of 65 letters", nil, attribute("a", text(65)), []string{one + ".attributes[a].string: FieldValueTooLong"}},
		{"a name of 32 letters", nil, attribute("d.example.com/"+strings.Repeat("a", 32), text(1)), nil},
		{"a name of 33 letters", nil, attribute(strings.Repeat("a", 33), text(1)), []string{one + ".attributes: FieldValueTooLong"}},
		{"a name with a dash", nil, attribute("a-b", text(1)), bad(one + ".attributes")},
		{"a name without a domain before its slash", nil, attribute("/a", text(1)), bad(one + ".attributes")},
		{"no value", nil, attribute("a", resourcev1.DeviceAttribute{}), bad(one + ".attributes[a]")},
		{"two values", nil, attribute("a", resourcev1.DeviceAttribute{IntValue: new(int64), BoolValue: new(true)}), bad(one + ".attributes[a]")},
		{"a version", nil, version("1.2.3-rc.1+build.5"), nil},
		{"a version with a leading nought", nil, version("1.02.3"), bad(one + ".attributes[v].version")},
		{"a version of two numbers", nil, version("1.2"), bad(one + ".attributes[v].version")},
		{"a taint without an effect", nil, device(func(d *resourcev1.Device) { d.Taints = []resourcev1.DeviceTaint{{Key: "k"}} }), []string{one + ".taints[0].effect: FieldValueRequired"}},
		{"a taint without an effect that stands", device(func(d *resourcev1.Device) { d.Taints = []resourcev1.DeviceTaint{{Key: "k"}} }),
			device(func(d *resourcev1.Device) { d.Taints = []resourcev1.DeviceTaint{{Key: "k"}} }), nil},
		{"a node of its own", nil, device(func(d *resourcev1.Device) { d.NodeName = new("m") }), bad(one)},
		{"a node of its own, as all have", nil, func(s *resourcev1.ResourceSliceSpec) {
			s.NodeName, s.PerDeviceNodeSelection, s.Devices[0].NodeName = nil, new(true), new("m")
		}, nil},
		{"no node, where all have", nil, func(s *resourcev1.ResourceSliceSpec) { s.NodeName, s.PerDeviceNodeSelection = nil, new(true) }, []string{one + ": FieldValueRequired"}},
		{"another node", device(func(*resourcev1.Device) {}), func(s *resourcev1.ResourceSliceSpec) { s.NodeName = new("m") }, bad("spec.nodeName")},
		{"other devices", device(func(*resourcev1.Device) {}), device(func(d *resourcev1.Device) { d.Name = "two" }), nil},
	} {
		var old *resourcev1.ResourceSlice
		if test.was != nil {
			old = offering(test.was)
		}
		if got := fieldsOf(validateSlice(t.Context(), offering(test.now), old)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestSharesOfACapacityAreJudged(t *testing.T) {
	q := func(text string) *resource.Quantity { v := resource.MustParse(text); return &v }
	options := func(preset string, list ...string) *resourcev1.CapacityRequestPolicy {
		p := &resourcev1.CapacityRequestPolicy{Default: q(preset)}
		for _, o := range list {
			p.ValidValues = append(p.ValidValues, *q(o))
		}
		return p
	}
	between := func(preset, from, to, step string) *resourcev1.CapacityRequestPolicy {
		r := &resourcev1.CapacityRequestPolicyRange{Min: q(from)}
		if to != "" {
			r.Max = q(to)
		}
		if step != "" {
			r.Step = q(step)
		}
		return &resourcev1.CapacityRequestPolicy{Default: q(preset), ValidRange: r}
	}
	bad := func(at string) []string { return []string{"requestPolicy." + at + ": FieldValueInvalid"} }
	for _, test := range []struct {
		name   string
		policy *resourcev1.CapacityRequestPolicy
		alone  bool
		want   []string
	}{
		{"no policy", nil, true, nil},
		{"a policy for one user", options("1", "1"), true, []string{"requestPolicy: FieldValueForbidden"}},
		{"options", options("2", "1", "2", "10"), false, nil},
		{"an option larger than all", options("2", "1", "2", "11"), false, bad("validValues[2]")},
		{"options out of order", options("2", "2", "1"), false, bad("validValues[1]")},
		{"an option twice", options("1", "1", "1"), false, []string{"requestPolicy.validValues[1]: FieldValueDuplicate"}},
		{"ten options", options("1", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"), false, nil},
		{"a default that is no option", options("3", "1", "2"), false, bad("validValues")},
		{"options without a default", &resourcev1.CapacityRequestPolicy{ValidValues: []resource.Quantity{*q("1")}}, false, []string{"requestPolicy.default: FieldValueRequired"}},
		{"a range", between("2", "1", "10", "1"), false, nil},
		{"a range without an end", between("2", "1", "", ""), false, nil},
		{"a range beyond all", between("2", "1", "11", ""), false, bad("validRange.max")},
		{"a range that ends before it begins", between("3", "3", "2", ""), false, []string{"requestPolicy.validRange.max: FieldValueInvalid", "requestPolicy.validRange.default: FieldValueInvalid"}},
		{"a default before the range", between("1", "2", "3", ""), false, bad("validRange.default")},
		{"a default between two steps", between("2", "1", "", "3"), false, bad("validRange.step")},
		{"a step beyond all", between("1", "1", "", "10"), false, bad("validRange.step")},
		{"a step of nothing", between("2", "1", "10", "0"), false, bad("validRange.step")},
		{"a step backwards", between("2", "1", "10", "-1"), false, bad("validRange.step")},
		{"a range from nowhere", &resourcev1.CapacityRequestPolicy{Default: q("1"), ValidRange: &resourcev1.CapacityRequestPolicyRange{}}, false, []string{"requestPolicy.validRange.min: FieldValueRequired"}},
	} {
		if got := fieldsOf(validateCapacity(nil, resourcev1.DeviceCapacity{Value: *q("10"), RequestPolicy: test.policy}, !test.alone)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestDriversInCapitalsAreWarnedOf(t *testing.T) {
	warn := ResourceSlice(nil).Warn
	want := []string{`spec.driver: driver names should be lowercase; "GPU.example.com" contains uppercase characters`}
	s := &resourcev1.ResourceSlice{Spec: resourcev1.ResourceSliceSpec{Driver: "GPU.example.com"}}
	if got := warn(t.Context(), s, s); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s.Spec.Driver = "gpu.example.com"
	if got := warn(t.Context(), s, nil); len(got) > 0 {
		t.Errorf("%q of a driver in small letters", got)
	}
}

func TestSlicesForgetWhatIsSwitchedOff(t *testing.T) {
	prepare := ResourceSlice(clocktesting.NewFakePassiveClock(time.Unix(1000, 0))).Prepare
	full := func() *resourcev1.ResourceSlice {
		return offering(device(func(d *resourcev1.Device) {
			d.Attributes = map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"a": {IntValues: []int64{1}}}
			d.NodeAllocatableResourceMappings = map[corev1.ResourceName]resourcev1.NodeAllocatableResourceMapping{"cpu": {}}
			d.Taints = []resourcev1.DeviceTaint{{Key: "k"}}
		}))
	}
	s := full()
	prepare(t.Context(), s, nil)
	d := s.Spec.Devices[0]
	if d.Attributes["a"].IntValues != nil || d.NodeAllocatableResourceMappings != nil {
		t.Errorf("kept: %v", d)
	}
	if at := d.Taints[0].TimeAdded; at == nil || at.Unix() != 1000 {
		t.Errorf("tainted at %v", at)
	}
	s = full()
	prepare(t.Context(), s, full())
	if d := s.Spec.Devices[0]; d.Attributes["a"].IntValues == nil || d.NodeAllocatableResourceMappings == nil {
		t.Errorf("what stands is forgotten: %v", d)
	}
	if s.Generation != 1 { // of the taint, whose time is new
		t.Errorf("generation %d", s.Generation)
	}
	bare := offering(device(func(*resourcev1.Device) {}))
	s = bare.DeepCopy()
	if prepare(t.Context(), s, bare); s.Generation != 0 {
		t.Errorf("nothing counts: %d", s.Generation)
	}
	s.Spec.Devices[0].NodeAllocatableResourceMappings = full().Spec.Devices[0].NodeAllocatableResourceMappings
	if prepare(t.Context(), s, bare); s.Generation != 1 {
		t.Errorf("what is forgotten does not count: %d", s.Generation)
	}
}

func TestClassesLookOnlyAtWhatChanged(t *testing.T) {
	class := func(expression, parameters string) *resourcev1.DeviceClass {
		return &resourcev1.DeviceClass{Spec: resourcev1.DeviceClassSpec{
			Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: expression}}},
			Config: []resourcev1.DeviceClassConfiguration{{DeviceConfiguration: resourcev1.DeviceConfiguration{
				Opaque: &resourcev1.OpaqueDeviceConfiguration{Driver: "d", Parameters: *raw(parameters)},
			}}},
		}}
	}
	long := `{"a":"` + strings.Repeat("x", resourcev1.OpaqueParametersMaxLength) + `"}`
	for _, test := range []struct {
		name     string
		was, now *resourcev1.DeviceClass
		want     []string
	}{
		{"sound", nil, class("true", "{}"), nil},
		{"unsound", nil, class("nope", long), []string{"spec.selectors[0].cel.expression: FieldValueInvalid", "spec.config[0].opaque.parameters: FieldValueTooLong"}},
		{"unsound, as it stands", class("nope", long), class("nope", long), nil},
		{"another unsound", class("nope", "{}"), class("nor", "{}"), []string{"spec.selectors[0].cel.expression: FieldValueInvalid"}},
	} {
		if got := fieldsOf(validateClass(t.Context(), test.now, test.was)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func raw(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }
