package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func volumeMounts(path *field.Path, c *corev1.Container, volumes map[string]corev1.VolumeSource) field.ErrorList {
	var faults field.ErrorList
	devices := map[string]string{}
	for _, d := range c.VolumeDevices {
		devices[d.Name] = d.DevicePath
	}
	points := sets.New[string]()
	for i, m := range c.VolumeMounts {
		at := path.Index(i)
		faults = append(faults, Filled(at.Child("name"), m.Name)...)
		if _, found := volumes[m.Name]; !found {
			faults = append(faults, field.NotFound(at.Child("name"), m.Name))
		}
		faults = append(faults, Filled(at.Child("mountPath"), m.MountPath)...)
		if points.Has(m.MountPath) {
			faults = append(faults, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		points.Insert(m.MountPath)
		if _, twice := devices[m.Name]; twice {
			faults = append(faults, field.Invalid(at.Child("name"), m.Name, "must not already exist in volumeDevices"))
		}
		if hasPath(devices, m.MountPath) {
			faults = append(faults, field.Invalid(at.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices"))
		}
		// The paths of the rest leave the index out; clients have learnt them so.
		faults = append(faults, subPaths(path, at, m)...)
		if m.MountPropagation != nil {
			faults = append(faults, propagation(path.Child("mountPropagation"), *m.MountPropagation, c)...)
		}
		faults = append(faults, recursiveReadOnly(path.Child("recursiveReadOnly"), m)...)
	}
	return faults
}

func subPaths(path, at *field.Path, m corev1.VolumeMount) field.ErrorList {
	var faults field.ErrorList
	if m.SubPath != "" {
		faults = append(faults, localDescendingPath(path.Child("subPath"), m.SubPath)...)
	}
	if m.SubPathExpr != "" {
		if m.SubPath != "" {
			faults = append(faults, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		faults = append(faults, localDescendingPath(path.Child("subPathExpr"), m.SubPathExpr)...)
	}
	return faults
}

func propagation(path *field.Path, mode corev1.MountPropagationMode, c *corev1.Container) field.ErrorList {
	faults := OneOfAny(path, mode, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	privileged := c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged)
	if mode == corev1.MountPropagationBidirectional && !privileged {
		faults = append(faults, field.Forbidden(path, "Bidirectional mount propagation is available only to privileged containers"))
	}
	return faults
}

func recursiveReadOnly(path *field.Path, m corev1.VolumeMount) field.ErrorList {
	if m.RecursiveReadOnly == nil {
		return nil
	}
	var faults field.ErrorList
	switch mode := *m.RecursiveReadOnly; mode {
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		if !m.ReadOnly {
			faults = append(faults, field.Forbidden(path, "may only be specified when readOnly is true"))
		}
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			faults = append(faults, field.Forbidden(path, "may only be specified when mountPropagation is None or not specified"))
		}
	default:
		faults = OneOfAny(path, mode, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	}
	return faults
}

func volumeDevices(path *field.Path, c *corev1.Container, volumes map[string]corev1.VolumeSource) field.ErrorList {
	var faults field.ErrorList
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	names, paths := sets.New[string](), sets.New[string]()
	for i, d := range c.VolumeDevices {
		name, device := path.Index(i).Child("name"), path.Index(i).Child("devicePath")
		faults = append(faults, Filled(name, d.Name)...)
		if names.Has(d.Name) {
			faults = append(faults, field.Invalid(name, d.Name, "must be unique"))
		}
		if source, found := volumes[d.Name]; !found {
			faults = append(faults, field.NotFound(name, d.Name))
		} else if source.PersistentVolumeClaim == nil && source.Ephemeral == nil {
			faults = append(faults, field.Invalid(name, d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
		}
		faults = append(faults, Filled(device, d.DevicePath)...)
		if paths.Has(d.DevicePath) {
			faults = append(faults, field.Invalid(device, d.DevicePath, "must be unique"))
		}
		if d.DevicePath != "" && len(noBacksteps(device, d.DevicePath)) > 0 {
			faults = append(faults, field.Invalid(device, d.DevicePath, "can not contain backsteps ('..')"))
		} else {
			paths.Insert(d.DevicePath)
		}
		if _, twice := mounts[d.Name]; twice {
			faults = append(faults, field.Invalid(name, d.Name, "must not already exist in volumeMounts"))
		}
		if hasPath(mounts, d.DevicePath) {
			faults = append(faults, field.Invalid(device, d.DevicePath, "must not already exist as a path in volumeMounts"))
		}
		if d.Name != "" {
			names.Insert(d.Name)
		}
	}
	return faults
}

// hasPath looks through the last path of each name: one that a fault elsewhere has displaced is not
// reported twice.
func hasPath(byName map[string]string, path string) bool {
	for _, p := range byName {
		if p == path {
			return true
		}
	}
	return false
}

func isTrue(b *bool) bool { return b != nil && *b }
