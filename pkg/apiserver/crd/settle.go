package crd

import (
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// settle gives a definition the status that it should have.
func (m *Manager) settle(crd *apiextensionsv1.CustomResourceDefinition) {
	set := func(c apiextensionsv1.CustomResourceDefinitionCondition) {
		if old := apiextensions.Condition(crd, c.Type); old == nil || old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message {
			apiextensions.SetCondition(crd, m.now(), c)
		}
	}
	accepted := m.acceptNames(crd)
	set(accepted)
	switch {
	case apiextensions.IsTrue(crd, apiextensionsv1.Established):
	case accepted.Status == apiextensionsv1.ConditionTrue:
		set(established(crd))
	case apiextensions.Condition(crd, apiextensionsv1.Established) == nil:
		set(apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionFalse,
			Reason: "NotAccepted", Message: "not all names are accepted"})
	}
	if c := nonStructural(crd); c != nil {
		set(*c)
	} else {
		crd.Status.Conditions = slices.DeleteFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensionsv1.NonStructuralSchema
		})
	}
	if state, said := apiextensions.ApprovalOf(crd); state != apiextensions.Unprotected {
		c := apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.KubernetesAPIApprovalPolicyConformant,
			Status: apiextensionsv1.ConditionFalse, Reason: string(state), Message: said}
		if state == apiextensions.Approved {
			c.Status = apiextensionsv1.ConditionTrue
		}
		set(c)
	}
}

func established(crd *apiextensionsv1.CustomResourceDefinition) apiextensionsv1.CustomResourceDefinitionCondition {
	if c := crd.Spec.Conversion; c != nil && c.Webhook != nil && c.Webhook.ClientConfig != nil &&
		len(validation.CABundle(field.NewPath(""), c.Webhook.ClientConfig.CABundle)) > 0 {
		return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionFalse,
			Reason: "InvalidCABundle", Message: "The conversion webhook CABundle is invalid"}
	}
	return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue,
		Reason: "InitialNamesAccepted", Message: "the initial names have been accepted"}
}

// taken are the names that other definitions of the group have.
func (m *Manager) taken(crd *apiextensionsv1.CustomResourceDefinition) (resources, kinds map[string]bool) {
	resources, kinds = map[string]bool{}, map[string]bool{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, other := range m.known {
		if name == crd.Name || other.Spec.Group != crd.Spec.Group {
			continue
		}
		n := other.Status.AcceptedNames
		for _, r := range append([]string{n.Plural, n.Singular}, n.ShortNames...) {
			resources[r] = true
		}
		kinds[n.Kind], kinds[n.ListKind] = true, true
	}
	return resources, kinds
}

// acceptNames takes over the names that a definition asks for, but those that others have. The last conflict is told.
func (m *Manager) acceptNames(crd *apiextensionsv1.CustomResourceDefinition) apiextensionsv1.CustomResourceDefinitionCondition {
	out := apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue,
		Reason: "NoConflicts", Message: "no conflicts found"}
	conflict := func(reason string, err error) {
		out.Status, out.Reason, out.Message = apiextensionsv1.ConditionFalse, reason, err.Error()
	}
	resources, kinds := m.taken(crd)
	wanted, has := &crd.Spec.Names, &crd.Status.AcceptedNames
	take := func(reason, wanted string, has *string, taken map[string]bool) {
		if err := free(wanted, *has, taken); err != nil {
			conflict(reason, err)
			return
		}
		*has = wanted
	}
	take("PluralConflict", wanted.Plural, &has.Plural, resources)
	take("SingularConflict", wanted.Singular, &has.Singular, resources)
	var problems []error
	for _, short := range wanted.ShortNames {
		if !slices.Contains(has.ShortNames, short) {
			if err := free(short, "", resources); err != nil {
				problems = append(problems, err)
			}
		}
	}
	if err := utilerrors.NewAggregate(problems); err != nil {
		conflict("ShortNamesConflict", err)
	} else {
		has.ShortNames = slices.Clone(wanted.ShortNames)
	}
	take("KindConflict", wanted.Kind, &has.Kind, kinds)
	take("ListKindConflict", wanted.ListKind, &has.ListKind, kinds)
	has.Categories = slices.Clone(wanted.Categories)
	return out
}

func free(wanted, has string, taken map[string]bool) error {
	if wanted == has || !taken[wanted] {
		return nil
	}
	return fmt.Errorf("%q is already in use", wanted)
}

// nonStructural is the condition of a definition from old times whose schemas do not prune, nil for others.
func nonStructural(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.CustomResourceDefinitionCondition {
	var faults field.ErrorList
	if crd.Spec.PreserveUnknownFields {
		faults = append(faults, field.Invalid(field.NewPath("spec", "preserveUnknownFields"), true, "must be false"))
	} else if apiextensions.Condition(crd, apiextensionsv1.NonStructuralSchema) == nil {
		return nil // validation let nothing else in
	}
	for i, v := range crd.Spec.Versions {
		p, err := crdschema.Properties(v.Schema)
		if err != nil || p == nil {
			continue
		}
		s, err := structural.NewStructural(p)
		if err != nil {
			return &apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.NonStructuralSchema, Status: apiextensionsv1.ConditionUnknown,
				Reason: "StructuralError", Message: fmt.Sprintf("failed to check validation schema for version %s: %v", v.Name, err)}
		}
		faults = append(faults, structural.ValidateStructural(field.NewPath("spec", "versions").Index(i).Child("schema", "openAPIV3Schema"), s)...)
	}
	if len(faults) == 0 {
		return nil
	}
	return &apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.NonStructuralSchema, Status: apiextensionsv1.ConditionTrue,
		Reason: "Violations", Message: faults.ToAggregate().Error()}
}
