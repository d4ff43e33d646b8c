package storage

import (
	"context"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// maxNodeID is the longest name that a driver may give a node.
const maxNodeID = 256

// CSINode declares what drivers of volumes are on a node.
func CSINode() *resource.Resource {
	return resource.Define(resource.Definition[*storagev1.CSINode]{
		Kind:          storagev1.SchemeGroupVersion.WithKind("CSINode"),
		Plural:        "csinodes",
		ClusterScoped: true,
		ReturnDeleted: true,
		StrictUpdate:  true,
		WholeUpdate:   true,
		Prepare: func(_ context.Context, n, _ *storagev1.CSINode) { // the stored form knows no empty lists
			if len(n.Spec.Drivers) == 0 {
				n.Spec.Drivers = nil
			}
			for i := range n.Spec.Drivers {
				if len(n.Spec.Drivers[i].TopologyKeys) == 0 {
					n.Spec.Drivers[i].TopologyKeys = nil
				}
			}
		},
		Validate: validateCSINode,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Integer("Drivers", "Drivers indicates the number of CSI drivers registered on the node"),
			column.Age(),
		},
		Row: func(n *storagev1.CSINode) []any {
			return []any{n.Name, int64(len(n.Spec.Drivers)), column.Since(n.CreationTimestamp)}
		},
	})
}

// validateCSINode: a driver that is there may change only how many volumes it has room for.
func validateCSINode(_ context.Context, n, old *storagev1.CSINode) field.ErrorList {
	at := field.NewPath("spec", "drivers")
	var faults field.ErrorList
	seen := map[string]bool{}
	for i := range n.Spec.Drivers {
		d := &n.Spec.Drivers[i]
		faults = append(faults, validateNodeDriver(at.Index(i), d, seen[d.Name])...)
		seen[d.Name] = true
	}
	if old == nil {
		return faults
	}
	for _, was := range old.Spec.Drivers {
		for _, now := range n.Spec.Drivers {
			was.Allocatable, now.Allocatable = nil, nil
			if was.Name == now.Name && !equality.Semantic.DeepEqual(now, was) {
				faults = append(faults, field.Invalid(at, validation.GoNames(now), validation.Immutable))
			}
		}
	}
	return faults
}

func validateNodeDriver(at *field.Path, d *storagev1.CSINodeDriver, twice bool) field.ErrorList {
	faults := validation.CSIDriverName(at.Child("name"), d.Name)
	faults = append(faults, validation.Filled(at.Child("nodeID"), d.NodeID)...)
	if len(d.NodeID) > maxNodeID {
		faults = append(faults, field.Invalid(at.Child("nodeID"), d.NodeID, fmt.Sprintf("must be %d characters or less", maxNodeID)))
	}
	if d.Allocatable != nil && d.Allocatable.Count != nil {
		faults = append(faults, validation.NotNegative(at.Child("allocatable", "count"), *d.Allocatable.Count)...)
	}
	if twice {
		faults = append(faults, field.Duplicate(at.Child("name"), d.Name))
	}
	seen := map[string]bool{}
	for _, key := range d.TopologyKeys {
		faults = append(faults, validation.Filled(at, key)...)
		if seen[key] {
			faults = append(faults, field.Duplicate(at, key))
		}
		seen[key] = true
		faults = append(faults, validation.QualifiedName(at, key)...)
	}
	return faults
}
