package devices

import (
	"fmt"
	"strconv"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxOptions bounds the amounts that a policy allows one by one.
const maxOptions = 10

// validateCapacity judges how much of a device's capacity each of its users may ask for.
func validateCapacity(at *field.Path, c resourcev1.DeviceCapacity, shared bool) field.ErrorList {
	policy, at := c.RequestPolicy, at.Child("requestPolicy")
	switch {
	case policy == nil:
		return nil
	case !shared:
		return field.ErrorList{field.Forbidden(at, "allowMultipleAllocations must be true")}
	case len(policy.ValidValues) > 0 && policy.ValidRange != nil:
		return field.ErrorList{field.Forbidden(at, `exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)}
	case len(policy.ValidValues) > 0 && policy.Default == nil:
		return field.ErrorList{field.Required(at.Child("default"), "required when validValues is defined")}
	case len(policy.ValidValues) > 0:
		return validateOptions(at.Child("validValues"), policy.ValidValues, *policy.Default, c.Value)
	case policy.ValidRange != nil && policy.Default == nil:
		return field.ErrorList{field.Required(at.Child("default"), "required when validRange is defined")}
	case policy.ValidRange != nil:
		return validateRange(at.Child("validRange"), policy.ValidRange, *policy.Default, c.Value)
	}
	return nil
}

func validateOptions(at *field.Path, options []resource.Quantity, preset, whole resource.Quantity) field.ErrorList {
	var faults field.ErrorList
	for i := 1; i < len(options); i++ {
		if options[i-1].Cmp(options[i]) > 0 {
			faults = append(faults, field.Invalid(at.Index(i), options[i].String(), "values must be sorted in ascending order"))
		}
	}
	found := false
	faults = append(faults, setOf(at, options, maxOptions, func(q resource.Quantity) string { return strconv.FormatInt(q.Value(), 10) },
		func(at *field.Path, option resource.Quantity) field.ErrorList {
			found = found || option.Cmp(preset) == 0
			if option.Cmp(whole) > 0 {
				return field.ErrorList{field.Invalid(at, option.String(), fmt.Sprintf("option is larger than capacity value: %s", whole.String()))}
			}
			return nil
		})...)
	if !found {
		faults = append(faults, field.Invalid(at, preset.String(), "default value is not valid according to the requestPolicy"))
	}
	return faults
}

func validateRange(at *field.Path, r *resourcev1.CapacityRequestPolicyRange, preset, whole resource.Quantity) field.ErrorList {
	if r.Min == nil {
		return field.ErrorList{field.Required(at.Child("min"), "required when validRange is defined")}
	}
	var faults field.ErrorList
	larger := func(name string, shown, a, b resource.Quantity, text string) {
		if a.Cmp(b) > 0 {
			faults = append(faults, field.Invalid(at.Child(name), shown.String(), text))
		}
	}
	larger("min", *r.Min, *r.Min, whole, "min is larger than capacity value: "+whole.String())
	larger("default", preset, *r.Min, preset, "default is less than min: "+r.Min.String())
	if r.Max != nil {
		larger("max", *r.Min, *r.Min, *r.Max, "min is larger than max: "+r.Max.String())
		larger("max", *r.Max, *r.Max, whole, "max is larger than capacity value: "+whole.String())
		larger("default", preset, preset, *r.Max, "default is more than max: "+r.Max.String())
	}
	if r.Step == nil {
		return faults
	}
	if r.Step.Sign() <= 0 {
		return append(faults, field.Invalid(at.Child("step"), r.Step.String(), "must be greater than zero"))
	}
	first := r.Min.DeepCopy()
	first.Add(*r.Step)
	larger("step", *r.Step, first, whole, fmt.Sprintf("one step %s is larger than capacity value: %s", first.String(), whole.String()))
	faults = append(faults, validateStep(at.Child("step"), preset, *r.Min, *r.Step)...)
	if r.Max != nil {
		faults = append(faults, validateStep(at.Child("step"), *r.Max, *r.Min, *r.Step)...)
	}
	return faults
}

// validateStep refuses an amount that no number of steps leads to. A step that cannot be counted leads nowhere.
func validateStep(at *field.Path, amount, from, step resource.Quantity) field.ErrorList {
	if n := step.Value(); n != 0 && (amount.Value()-from.Value())%n == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, amount.String(), fmt.Sprintf("value is not a multiple of a given step (%s) from (%s)", step.String(), from.String()))}
}
