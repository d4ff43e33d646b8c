package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

const unset = "<unset>"

func volumeColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PersistentVolumeSpec{}.SwaggerDoc(), corev1.PersistentVolumeStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Text("Capacity", spec["capacity"]),
		column.Text("Access Modes", spec["accessModes"]),
		column.Text("Reclaim Policy", spec["persistentVolumeReclaimPolicy"]),
		column.Text("Status", status["phase"]),
		column.Text("Claim", spec["claimRef"]),
		column.Text("StorageClass", "StorageClass of the pv"),
		column.Text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
		column.Text("Reason", status["reason"]),
		column.Age(),
		column.Wide("VolumeMode", spec["volumeMode"]),
	}
}

func volumeRow(v *corev1.PersistentVolume) []any {
	claim := ""
	if ref := v.Spec.ClaimRef; ref != nil {
		claim = ref.Namespace + "/" + ref.Name
	}
	phase := string(v.Status.Phase)
	if v.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	size := v.Spec.Capacity[corev1.ResourceStorage]
	return []any{
		v.Name, size.String(), shortModes(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy), phase, claim,
		classNamed(v.Annotations, &v.Spec.StorageClassName), orUnset(v.Spec.VolumeAttributesClassName), v.Status.Reason,
		column.Since(v.CreationTimestamp), orUnset(v.Spec.VolumeMode),
	}
}

func claimColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PersistentVolumeClaimSpec{}.SwaggerDoc(), corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Text("Status", status["phase"]),
		column.Text("Volume", spec["volumeName"]),
		column.Text("Capacity", status["capacity"]),
		column.Text("Access Modes", status["accessModes"]),
		column.Text("StorageClass", "StorageClass of the pvc"),
		column.Text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
		column.Age(),
		column.Wide("VolumeMode", spec["volumeMode"]),
	}
}

func claimRow(c *corev1.PersistentVolumeClaim) []any {
	phase := string(c.Status.Phase)
	if c.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	capacity, modes := "", ""
	if c.Spec.VolumeName != "" {
		size := c.Status.Capacity[corev1.ResourceStorage]
		capacity, modes = size.String(), shortModes(c.Status.AccessModes)
	}
	return []any{
		c.Name, phase, c.Spec.VolumeName, capacity, modes, classNamed(c.Annotations, c.Spec.StorageClassName),
		orUnset(c.Spec.VolumeAttributesClassName), column.Since(c.CreationTimestamp), orUnset(c.Spec.VolumeMode),
	}
}

// shortModes names each mode once by its letters, in one order.
func shortModes(modes []corev1.PersistentVolumeAccessMode) string {
	var short []string
	for _, known := range []struct {
		mode    corev1.PersistentVolumeAccessMode
		letters string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	} {
		if slices.Contains(modes, known.mode) {
			short = append(short, known.letters)
		}
	}
	return strings.Join(short, ",")
}

// classNamed is the storage class, which once stood in an annotation.
func classNamed(annotations map[string]string, name *string) string {
	if class, old := annotations[corev1.BetaStorageClassAnnotation]; old {
		return class
	}
	return ptr.Deref(name, "")
}

func orUnset[T ~string](value *T) string {
	if value == nil {
		return unset
	}
	return string(*value)
}
