package rbac

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// bound is what the two kinds of binding have in common.
type bound struct {
	namespaced bool
	ref        *rbacv1.RoleRef
	subjects   []rbacv1.Subject
}

func (b bound) setDefaults() {
	b.ref.APIGroup = cmp.Or(b.ref.APIGroup, rbacv1.GroupName)
	for i := range b.subjects {
		s := &b.subjects[i]
		if s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}

func (b bound) validate(old *rbacv1.RoleRef) field.ErrorList {
	faults := b.validateRef()
	for i := range b.subjects {
		faults = append(faults, b.validateSubject(&b.subjects[i], field.NewPath("subjects").Index(i))...)
	}
	if old != nil && *b.ref != *old {
		faults = append(faults, field.Invalid(field.NewPath("roleRef"), validation.GoNames(*b.ref), "cannot change roleRef"))
	}
	return faults
}

func (b bound) validateRef() field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("roleRef")
	if b.ref.APIGroup != rbacv1.GroupName {
		faults = append(faults, field.NotSupported(at.Child("apiGroup"), b.ref.APIGroup, []string{rbacv1.GroupName}))
	}
	kinds := []string{"ClusterRole"}
	if b.namespaced {
		kinds = []string{"Role", "ClusterRole"}
	}
	if !slices.Contains(kinds, b.ref.Kind) {
		faults = append(faults, field.NotSupported(at.Child("kind"), b.ref.Kind, kinds))
	}
	if b.ref.Name == "" {
		return append(faults, field.Required(at.Child("name"), ""))
	}
	faults = append(faults, validation.Invalid(at.Child("name"), b.ref.Name, path.IsValidPathSegmentName(b.ref.Name))...)
	return faults
}

func (b bound) validateSubject(s *rbacv1.Subject, at *field.Path) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.Filled(at.Child("name"), s.Name)...)
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			faults = append(faults, validation.Invalid(at.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))...)
		}
		if s.APIGroup != "" {
			faults = append(faults, field.NotSupported(at.Child("apiGroup"), s.APIGroup, []string{""}))
		}
		if !b.namespaced && s.Namespace == "" {
			faults = append(faults, field.Required(at.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		if s.APIGroup != rbacv1.GroupName {
			faults = append(faults, field.NotSupported(at.Child("apiGroup"), s.APIGroup, []string{rbacv1.GroupName}))
		}
	default:
		faults = append(faults, field.NotSupported(at.Child("kind"), s.Kind,
			[]string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	return faults
}

func bindingColumns(role, kind string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		column.Name(),
		// The column is described as the field was before it was said to be immutable.
		column.Text("Role", strings.TrimSuffix(role, " This field is immutable.")),
		column.Age(),
		column.Wide("Users", "Users in the "+kind),
		column.Wide("Groups", "Groups in the "+kind),
		column.Wide("ServiceAccounts", "ServiceAccounts in the "+kind),
	}
}

func (b bound) row(name string, created metav1.Time) []any {
	names := map[string]string{}
	for _, s := range b.subjects {
		name := s.Name
		if s.Kind == rbacv1.ServiceAccountKind {
			name = s.Namespace + "/" + s.Name
		}
		if names[s.Kind] != "" {
			name = names[s.Kind] + ", " + name
		}
		names[s.Kind] = name
	}
	return []any{name, b.ref.Kind + "/" + b.ref.Name, column.Since(created),
		names[rbacv1.UserKind], names[rbacv1.GroupKind], names[rbacv1.ServiceAccountKind]}
}
