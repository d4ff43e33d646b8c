package flowcontrol

import (
	"context"
	"fmt"
	"math"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// What a level has that says nothing else.
const (
	usualShares      = 30
	usualQueues      = 64
	usualHandSize    = 8
	usualQueueLength = 50
)

// maxQueues bounds the queues of a level, and maxHashBits what is drawn to deal a hand of them.
const (
	maxQueues   = 10_000_000
	maxHashBits = 60
)

type priorityLevel = flowcontrolv1.PriorityLevelConfiguration

// PriorityLevelConfiguration declares prioritylevelconfigurations.
func PriorityLevelConfiguration() *resource.Resource {
	kind := flowcontrolv1.SchemeGroupVersion.WithKind("PriorityLevelConfiguration")
	queuing := flowcontrolv1.QueuingConfiguration{}.SwaggerDoc()
	return resource.Define(resource.Definition[*priorityLevel]{
		Kind:          kind,
		Plural:        "prioritylevelconfigurations",
		Singular:      "prioritylevelconfiguration",
		ClusterScoped: true,
		Default:       defaultLevel,
		Prepare:       resource.KeepStatus(func(obj *priorityLevel) *flowcontrolv1.PriorityLevelConfigurationStatus { return &obj.Status }),
		Spec:          func(obj *priorityLevel) any { return &obj.Spec },
		Reset:         []string{"status"},
		Validate:      func(_ context.Context, obj, _ *priorityLevel) field.ErrorList { return validateLevel(obj) },
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Type", flowcontrolv1.PriorityLevelConfigurationSpec{}.SwaggerDoc()["type"]),
			column.Text("NominalConcurrencyShares", flowcontrolv1.LimitedPriorityLevelConfiguration{}.SwaggerDoc()["nominalConcurrencyShares"]),
			column.Text("Queues", queuing["queues"]),
			column.Text("HandSize", queuing["handSize"]),
			column.Text("QueueLengthLimit", queuing["queueLengthLimit"]),
			column.Age(),
		},
		Row: levelRow,
		Subresources: []resource.Subresource[*priorityLevel]{resource.Status(kind, resource.UpdatePart[*priorityLevel]{
			Prepare: func(_ context.Context, obj, old *priorityLevel) {
				obj.Spec, obj.ObjectMeta = *old.Spec.DeepCopy(), ownedMeta(&obj.ObjectMeta, &old.ObjectMeta)
			},
			Validate: func(_ context.Context, obj, _ *priorityLevel) field.ErrorList { return validateLevelConditions(obj) },
			Reset:    []string{"spec", "metadata"},
		})},
	})
}

func defaultLevel(obj *priorityLevel) {
	if e := obj.Spec.Exempt; e != nil {
		orElse(&e.NominalConcurrencyShares, 0)
		orElse(&e.LendablePercent, 0)
	}
	l := obj.Spec.Limited
	if l == nil {
		return
	}
	orElse(&l.NominalConcurrencyShares, usualShares)
	orElse(&l.LendablePercent, 0)
	if q := l.LimitResponse.Queuing; q != nil {
		for value, usual := range map[*int32]int32{&q.Queues: usualQueues, &q.HandSize: usualHandSize, &q.QueueLengthLimit: usualQueueLength} {
			if *value == 0 {
				*value = usual
			}
		}
	}
}

func orElse(value **int32, usual int32) {
	if *value == nil {
		*value = &usual
	}
}

func levelRow(obj *priorityLevel) []any {
	cells := []any{obj.Name, string(obj.Spec.Type), column.None, column.None, column.None, column.None, column.Since(obj.CreationTimestamp)}
	l := obj.Spec.Limited
	if l == nil {
		return cells
	}
	if l.NominalConcurrencyShares != nil {
		cells[2] = int64(*l.NominalConcurrencyShares)
	}
	if q := l.LimitResponse.Queuing; q != nil {
		cells[3], cells[4], cells[5] = int64(q.Queues), int64(q.HandSize), int64(q.QueueLengthLimit)
	}
	return cells
}

func validateLevel(obj *priorityLevel) field.ErrorList {
	at := field.NewPath("spec")
	faults := validateLevelSpec(at, obj.Name, &obj.Spec)
	if fixed, is := fixedLevels()[obj.Name]; is {
		have, what := *obj.Spec.DeepCopy(), ""
		if obj.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt {
			have.Exempt, fixed.Exempt, what = nil, nil, "except the 'spec.exempt' field "
		}
		if !equality.Semantic.DeepEqual(have, fixed) {
			faults = append(faults, field.Invalid(at, validation.GoNames(obj.Spec), fmt.Sprintf("spec of '%s' %smust equal the fixed value", obj.Name, what)))
		}
	}
	return append(faults, validateLevelConditions(obj)...)
}

func validateLevelConditions(obj *priorityLevel) field.ErrorList {
	return validateConditions(conditionTypes(obj.Status.Conditions, func(c flowcontrolv1.PriorityLevelConfigurationCondition) string { return string(c.Type) }))
}

func validateLevelSpec(at *field.Path, name string, spec *flowcontrolv1.PriorityLevelConfigurationSpec) field.ErrorList {
	var faults field.ErrorList
	if (name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != (spec.Type == flowcontrolv1.PriorityLevelEnablementExempt) {
		faults = append(faults, field.Invalid(at.Child("type"), spec.Type, "must be 'Exempt' if and only if `name` is 'exempt'"))
	}
	switch spec.Type {
	case flowcontrolv1.PriorityLevelEnablementExempt:
		if spec.Limited != nil {
			faults = append(faults, field.Forbidden(at.Child("limited"), "must be nil if the type is not Limited"))
		}
		if e := spec.Exempt; e != nil {
			faults = append(faults, validateShares(at.Child("exempt"), e.NominalConcurrencyShares)...)
			faults = append(faults, validateLendable(at.Child("exempt"), e.LendablePercent)...)
		}
	case flowcontrolv1.PriorityLevelEnablementLimited:
		if spec.Exempt != nil {
			faults = append(faults, field.Forbidden(at.Child("exempt"), "must be nil if the type is Limited"))
		}
		if spec.Limited == nil {
			return append(faults, field.Required(at.Child("limited"), "must not be empty when type is Limited"))
		}
		faults = append(faults, validateLimited(at.Child("limited"), spec.Limited)...)
	default:
		faults = append(faults, field.NotSupported(at.Child("type"), spec.Type, []string{"Exempt", "Limited"}))
	}
	return faults
}

func validateShares(at *field.Path, shares *int32) field.ErrorList {
	if shares != nil && *shares < 0 {
		return field.ErrorList{field.Invalid(at.Child("nominalConcurrencyShares"), *shares, "must be a non-negative integer")}
	}
	return nil
}

func validateLendable(at *field.Path, percent *int32) field.ErrorList {
	if percent != nil && (*percent < 0 || *percent > 100) {
		return field.ErrorList{field.Invalid(at.Child("lendablePercent"), *percent, "must be between 0 and 100, inclusive")}
	}
	return nil
}

func validateLimited(at *field.Path, l *flowcontrolv1.LimitedPriorityLevelConfiguration) field.ErrorList {
	faults := validateShares(at, l.NominalConcurrencyShares)
	response := at.Child("limitResponse")
	switch l.LimitResponse.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if l.LimitResponse.Queuing != nil {
			faults = append(faults, field.Forbidden(response.Child("queuing"), "must be nil if limited.limitResponse.type is not Limited"))
		}
	case flowcontrolv1.LimitResponseTypeQueue:
		if q := l.LimitResponse.Queuing; q == nil {
			faults = append(faults, field.Required(response.Child("queuing"), "must not be empty if limited.limitResponse.type is Limited"))
		} else {
			faults = append(faults, validateQueuing(response.Child("queuing"), q)...)
		}
	default:
		faults = append(faults, field.NotSupported(response.Child("type"), l.LimitResponse.Type, []string{"Queue", "Reject"}))
	}
	faults = append(faults, validateLendable(at, l.LendablePercent)...)
	if b := l.BorrowingLimitPercent; b != nil && *b < 0 {
		faults = append(faults, field.Invalid(at.Child("borrowingLimitPercent"), *b, "if specified, must be a non-negative integer"))
	}
	return faults
}

func validateQueuing(at *field.Path, q *flowcontrolv1.QueuingConfiguration) field.ErrorList {
	const positive = "must be positive"
	var faults field.ErrorList
	if q.QueueLengthLimit <= 0 {
		faults = append(faults, field.Invalid(at.Child("queueLengthLimit"), q.QueueLengthLimit, positive))
	}
	if q.Queues <= 0 {
		faults = append(faults, field.Invalid(at.Child("queues"), q.Queues, positive))
	} else if q.Queues > maxQueues {
		faults = append(faults, field.Invalid(at.Child("queues"), q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues)))
	}
	hand := at.Child("handSize")
	switch {
	case q.HandSize <= 0:
		faults = append(faults, field.Invalid(hand, q.HandSize, positive))
	case q.HandSize > q.Queues:
		faults = append(faults, field.Invalid(hand, q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues)))
	case int(math.Ceil(math.Log2(float64(q.Queues))*float64(q.HandSize))) > maxHashBits:
		faults = append(faults, field.Invalid(hand, q.HandSize,
			fmt.Sprintf("required entropy bits of deckSize %d and handSize %d should not be greater than %d", q.Queues, q.HandSize, maxHashBits)))
	}
	return faults
}
