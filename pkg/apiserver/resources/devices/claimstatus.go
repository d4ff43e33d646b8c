package devices

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// share is a device, or the part of one that was given to one claim.
type share struct{ Driver, Pool, Device, ShareID string }

func shareOf(driver, pool, device string, id *types.UID) share {
	s := share{driver, pool, device, ""}
	if id != nil {
		s.ShareID = string(*id)
	}
	return s
}

func sharesOf(a *resourcev1.AllocationResult) sets.Set[share] {
	out := sets.New[share]()
	if a != nil {
		for _, r := range a.Devices.Results {
			out.Insert(shareOf(r.Driver, r.Pool, r.Device, r.ShareID))
		}
	}
	return out
}

func statusShare(d resourcev1.AllocatedDeviceStatus) share {
	return shareOf(d.Driver, d.Pool, d.Device, (*types.UID)(d.ShareID))
}

// forgetGivenBack drops what drivers told of devices that the claim no longer has.
func forgetGivenBack(now, was *resourcev1.ResourceClaimStatus) {
	gone := sharesOf(was.Allocation).Difference(sharesOf(now.Allocation))
	now.Devices = slices.DeleteFunc(now.Devices, func(d resourcev1.AllocatedDeviceStatus) bool { return gone.Has(statusShare(d)) })
	if len(now.Devices) == 0 {
		now.Devices = nil
	}
}

// validateClaimStatus: what a claim was given does not change until it gives all of it back.
func validateClaimStatus(c, old *resourcev1.ResourceClaim) field.ErrorList {
	at, now, was := field.NewPath("status"), &c.Status, &old.Status
	users := at.Child("reservedFor")
	faults := setOf(users, now.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize,
		func(r resourcev1.ResourceClaimConsumerReference) types.UID { return r.UID }, validateUser)
	given := sharesOf(now.Allocation)
	faults = append(faults, setOf(at.Child("devices"), now.Devices, unlimited, statusShare,
		func(at *field.Path, d resourcev1.AllocatedDeviceStatus) field.ErrorList {
			return validateDeviceStatus(at, d, given)
		})...)
	switch {
	case len(now.ReservedFor) == 0:
	case now.Allocation == nil:
		faults = append(faults, field.Forbidden(users, "may not be specified when `allocated` is not set"))
	case c.DeletionTimestamp != nil && !sets.New(was.ReservedFor...).HasAll(now.ReservedFor...):
		faults = append(faults, field.Forbidden(users, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"))
	}
	switch allocation := at.Child("allocation"); {
	case now.Allocation == nil:
	case was.Allocation != nil:
		faults = append(faults, validation.Unchanged(allocation, now.Allocation, was.Allocation)...)
	default:
		faults = append(faults, validateAllocation(allocation, now.Allocation, requestsOf(&c.Spec.Devices))...)
	}
	return faults
}

func validateUser(at *field.Path, r resourcev1.ResourceClaimConsumerReference) field.ErrorList {
	var faults field.ErrorList
	for _, part := range [][2]string{{"resource", r.Resource}, {"name", r.Name}, {"uid", string(r.UID)}} {
		faults = append(faults, validation.Filled(at.Child(part[0]), part[1])...)
	}
	return faults
}

func validateAllocation(at *field.Path, a *resourcev1.AllocationResult, known requests) field.ErrorList {
	devices := at.Child("devices")
	faults := eachOf(devices.Child("results"), a.Devices.Results, resourcev1.AllocationResultsMaxSize,
		func(at *field.Path, r resourcev1.DeviceRequestAllocationResult) field.ErrorList {
			return validateResult(at, r, known)
		})
	faults = append(faults, eachOf(devices.Child("config"), a.Devices.Config, 2*resourcev1.DeviceConfigMaxSize, // of classes and of the claim
		func(at *field.Path, c resourcev1.DeviceAllocationConfiguration) field.ErrorList {
			faults := validation.OneOf(at.Child("source"), c.Source, resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass)
			faults = append(faults, known.validateReferences(at.Child("requests"), c.Requests)...)
			return append(faults, validateConfiguration(at, c.DeviceConfiguration, false)...)
		})...)
	if a.NodeSelector != nil {
		faults = append(faults, validation.NodeSelector(at.Child("nodeSelector"), a.NodeSelector, false)...)
	}
	return faults
}

func validateResult(at *field.Path, r resourcev1.DeviceRequestAllocationResult, known requests) field.ErrorList {
	faults := known.validateReference(at.Child("request"), r.Request)
	faults = append(faults, validateDeviceNames(at, r.Driver, r.Pool, r.Device)...)
	faults = append(faults, validateBinding(at, r.BindingConditions, r.BindingFailureConditions)...)
	for i, t := range r.Tolerations {
		faults = append(faults, validateToleration(at.Child("tolerations").Index(i), t)...)
	}
	if r.ShareID != nil {
		faults = append(faults, validateUID(at.Child("shareID"), string(*r.ShareID))...)
	}
	return faults
}

func validateDeviceNames(at *field.Path, driver, pool, device string) field.ErrorList {
	faults := validation.CSIDriverName(at.Child("driver"), driver)
	faults = append(faults, validatePoolName(at.Child("pool"), pool)...)
	return append(faults, validation.DNSLabel(at.Child("device"), device)...)
}

var uidForm = regexp.MustCompile(`^(urn:uuid:|URN:UUID:)?[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$|^\{[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}$|^[0-9a-fA-F]{32}$`)

// validateUID takes one of the forms that a UUID has: 36 letters, in lower case.
func validateUID(at *field.Path, uid string) field.ErrorList {
	const plain = 36
	switch n := len(uid); {
	case n != plain && n != plain+len("urn:uuid:") && n != plain+len("{}") && n != plain-len("----"):
		return field.ErrorList{field.Invalid(at, uid, fmt.Sprintf("error validating uid: invalid UUID length: %d", n))}
	case !uidForm.MatchString(uid):
		return field.ErrorList{field.Invalid(at, uid, "error validating uid: invalid UUID format")}
	case n != plain || uid != strings.ToLower(uid):
		return field.ErrorList{field.Invalid(at, uid, "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters")}
	}
	return nil
}

func validateDeviceStatus(at *field.Path, d resourcev1.AllocatedDeviceStatus, given sets.Set[share]) field.ErrorList {
	faults := validateDeviceNames(at, d.Driver, d.Pool, d.Device)
	faults = append(faults, validation.WhereSet(at.Child("shareID"), d.ShareID, validateUID)...)
	if s := statusShare(d); !given.Has(s) {
		faults = append(faults, field.Invalid(at, s, "must be an allocated device in the claim"))
	}
	conditions := at.Child("conditions")
	if len(d.Conditions) > resourcev1.AllocatedDeviceStatusMaxConditions {
		faults = append(faults, field.TooMany(conditions, len(d.Conditions), resourcev1.AllocatedDeviceStatusMaxConditions))
	}
	faults = append(faults, metav1validation.ValidateConditions(d.Conditions, conditions)...)
	if d.Data != nil && len(d.Data.Raw) > 0 {
		faults = append(faults, validateRaw(at.Child("data"), *d.Data, false, resourcev1.AllocatedDeviceStatusDataMaxLength)...)
	}
	return append(faults, validateNetwork(at.Child("networkData"), d.NetworkData)...)
}

func validateNetwork(at *field.Path, n *resourcev1.NetworkDeviceData) field.ErrorList {
	if n == nil {
		return nil
	}
	var faults field.ErrorList
	if limit := resourcev1.NetworkDeviceDataInterfaceNameMaxLength; len(n.InterfaceName) > limit {
		faults = append(faults, field.TooLong(at.Child("interfaceName"), "", limit))
	}
	if limit := resourcev1.NetworkDeviceDataHardwareAddressMaxLength; len(n.HardwareAddress) > limit {
		faults = append(faults, field.TooLong(at.Child("hardwareAddress"), "", limit))
	}
	return append(faults, setOf(at.Child("ips"), n.IPs, resourcev1.NetworkDeviceDataMaxIPs, itself, utilvalidation.IsValidInterfaceAddress)...)
}
