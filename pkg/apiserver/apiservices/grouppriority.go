package apiservices

import (
	"context"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
)

// ownPriority puts the group of these objects before all others.
const ownPriority = 20000

// GroupPriority is the place of a group among others: the highest that one of its versions asks for.
func (k *Keeper) GroupPriority(group string) int {
	if group == apiregistrationv1.GroupName {
		return ownPriority
	}
	priority := int32(0)
	for _, l := range k.Locals {
		if l.Group == group {
			priority = max(priority, l.GroupPriority)
		}
	}
	all, err := k.Access.List(context.Background(), Objects, "")
	if err != nil {
		return int(priority)
	}
	asked := int32(0)
	for _, o := range all {
		if s := o.(*apiregistrationv1.APIService); s.Spec.Group == group {
			asked = max(asked, s.Spec.GroupPriorityMinimum)
		}
	}
	if asked > 0 {
		priority = asked
	}
	return int(priority)
}
