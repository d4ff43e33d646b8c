package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	badFileMode      = "must be a number between 0 and 0777 (octal), both inclusive"
	oneVolumeType    = "may not specify more than 1 volume type"
	minTokenSeconds  = 10 * 60
	maxTokenSeconds  = 1 << 32
	maxFileMode      = 0o777
	eitherFieldOrRes = "fieldRef and resourceFieldRef can not be specified simultaneously"
)

// volumes judges a pod's volumes, and answers the sound ones by name: only they can be mounted. meta is nil where there
// is no pod yet.
func volumes(path *field.Path, list []corev1.Volume, meta *metav1.ObjectMeta, options PodOptions) (map[string]corev1.VolumeSource, field.ErrorList) {
	var faults field.ErrorList
	known := map[string]corev1.VolumeSource{}
	made := sets.New[string]()
	for _, v := range list {
		if v.Ephemeral != nil && meta != nil && meta.Name != "" {
			made.Insert(meta.Name + "-" + v.Name)
		}
	}
	for i := range list {
		v, at := &list[i], path.Index(i)
		name := at.Child("name")
		own := volumeSource(at, v, meta, options)
		own = append(own, FilledWith(name, v.Name, DNSLabel)...)
		if _, twice := known[v.Name]; twice {
			own = append(own, field.Duplicate(name, v.Name))
		}
		if len(own) == 0 {
			known[v.Name] = v.VolumeSource
		}
		faults = append(faults, own...)
		if v.PersistentVolumeClaim != nil && made.Has(v.PersistentVolumeClaim.ClaimName) {
			faults = append(faults, field.Invalid(at.Child("persistentVolumeClaim", "claimName"), v.PersistentVolumeClaim.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume"))
		}
	}
	return known, faults
}

// kindOfVolume is one of the sources that a volume may have.
type kindOfVolume struct {
	name  string
	found bool
	judge func(at *field.Path) field.ErrorList
}

// inside is the name under which faults within a kind are told; that of a second kind is always the field's own.
func (k kindOfVolume) inside() string {
	switch k.name {
	case "gcePersistentDisk":
		return "persistentDisk"
	case "cephFS":
		return "cephfs"
	case "downwarAPI":
		return "downwardAPI"
	}
	return k.name
}

func volumeSource(path *field.Path, v *corev1.Volume, meta *metav1.ObjectMeta, options PodOptions) field.ErrorList {
	s, name := &v.VolumeSource, v.Name
	// Nearly all volumes are of these kinds; the list of all takes 3 KiB.
	switch *s {
	case corev1.VolumeSource{}: // and none of these either
	case corev1.VolumeSource{ConfigMap: s.ConfigMap}:
		return configMapVolume(path.Child("configMap"), s.ConfigMap)
	case corev1.VolumeSource{Projected: s.Projected}:
		return projected(path.Child("projected"), s.Projected, options)
	case corev1.VolumeSource{Secret: s.Secret}:
		return secretVolume(path.Child("secret"), s.Secret)
	case corev1.VolumeSource{EmptyDir: s.EmptyDir}:
		return emptyDir(path.Child("emptyDir"), s.EmptyDir)
	}
	kinds := []kindOfVolume{
		{"emptyDir", s.EmptyDir != nil, func(at *field.Path) field.ErrorList { return emptyDir(at, s.EmptyDir) }},
		{"hostPath", s.HostPath != nil, func(at *field.Path) field.ErrorList { return HostPath(at, s.HostPath) }},
		{"gitRepo", s.GitRepo != nil, func(at *field.Path) field.ErrorList { return gitRepo(at, s.GitRepo) }},
	}
	kinds = append(kinds, diskKinds(s)...)
	kinds = append(kinds,
		kindOfVolume{"secret", s.Secret != nil, func(at *field.Path) field.ErrorList { return secretVolume(at, s.Secret) }})
	kinds = append(kinds, sharedKinds(s, name)...)
	kinds = append(kinds, // upstream tells the name without one of its letters, and so does this: clients may look for it
		kindOfVolume{"downwarAPI", s.DownwardAPI != nil, func(at *field.Path) field.ErrorList { return downwardVolume(at, s.DownwardAPI) }})
	kinds = append(kinds, blockKinds(s)...)
	kinds = append(kinds,
		kindOfVolume{"configMap", s.ConfigMap != nil, func(at *field.Path) field.ErrorList { return configMapVolume(at, s.ConfigMap) }})
	kinds = append(kinds, cloudKinds(s)...)
	kinds = append(kinds,
		kindOfVolume{"projected", s.Projected != nil, func(at *field.Path) field.ErrorList { return projected(at, s.Projected, options) }},
		kindOfVolume{"scaleIO", s.ScaleIO != nil, func(at *field.Path) field.ErrorList {
			return ScaleIO(at, s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName)
		}},
		kindOfVolume{"csi", s.CSI != nil, func(at *field.Path) field.ErrorList { return csiVolume(at, s.CSI) }},
		kindOfVolume{"ephemeral", s.Ephemeral != nil, func(at *field.Path) field.ErrorList {
			return append(ephemeralVolume(at, s.Ephemeral), longClaimName(path.Child("name"), name, meta)...)
		}},
		kindOfVolume{"image", s.Image != nil, func(at *field.Path) field.ErrorList { return imageVolume(at, s.Image, meta != nil) }},
	)
	return exactlyOne(path, kinds)
}

func exactlyOne(path *field.Path, kinds []kindOfVolume) field.ErrorList {
	var faults field.ErrorList
	n := 0
	for _, kind := range kinds {
		if !kind.found {
			continue
		}
		if n++; n > 1 {
			faults = append(faults, field.Forbidden(path.Child(kind.name), oneVolumeType))
			continue
		}
		faults = append(faults, kind.judge(path.Child(kind.inside()))...)
	}
	if n == 0 {
		faults = append(faults, field.Required(path, "must specify a volume type"))
	}
	return faults
}

func emptyDir(path *field.Path, v *corev1.EmptyDirVolumeSource) field.ErrorList {
	if v.SizeLimit != nil && v.SizeLimit.Sign() < 0 {
		return field.ErrorList{field.Forbidden(path.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")}
	}
	return nil
}

// HostPath judges a directory of the node, in pods and in persistent volumes.
func HostPath(path *field.Path, v *corev1.HostPathVolumeSource) field.ErrorList {
	if v.Path == "" {
		return field.ErrorList{field.Required(path.Child("path"), "")}
	}
	faults := noBacksteps(path.Child("path"), v.Path)
	if v.Type == nil {
		return faults
	}
	return append(faults, OneOfAny(path.Child("type"), *v.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
		corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
}

func gitRepo(path *field.Path, v *corev1.GitRepoVolumeSource) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, Filled(path.Child("repository"), v.Repository)...)
	return append(faults, localDescendingPath(path.Child("directory"), v.Directory)...)
}

func fileMode(path *field.Path, mode *int32) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= maxFileMode {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *mode, badFileMode)}
}

func keyToPath(path *field.Path, items []corev1.KeyToPath) field.ErrorList {
	var faults field.ErrorList
	for i, item := range items {
		at := path.Child("items").Index(i)
		faults = append(faults, Filled(at.Child("key"), item.Key)...)
		faults = append(faults, Filled(at.Child("path"), item.Path)...)
		faults = append(faults, localNonReservedPath(at.Child("path"), item.Path)...)
		faults = append(faults, fileMode(at.Child("mode"), item.Mode)...)
	}
	return faults
}

func secretVolume(path *field.Path, v *corev1.SecretVolumeSource) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, Filled(path.Child("secretName"), v.SecretName)...)
	faults = append(faults, fileMode(path.Child("defaultMode"), v.DefaultMode)...)
	return append(faults, keyToPath(path, v.Items)...)
}

func configMapVolume(path *field.Path, v *corev1.ConfigMapVolumeSource) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, Filled(path.Child("name"), v.Name)...)
	faults = append(faults, fileMode(path.Child("defaultMode"), v.DefaultMode)...)
	return append(faults, keyToPath(path, v.Items)...)
}

func downwardVolume(path *field.Path, v *corev1.DownwardAPIVolumeSource) field.ErrorList {
	faults := fileMode(path.Child("defaultMode"), v.DefaultMode)
	for i := range v.Items {
		faults = append(faults, downwardFile(path, &v.Items[i])...)
	}
	return faults
}

func downwardFile(path *field.Path, file *corev1.DownwardAPIVolumeFile) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, Filled(path.Child("path"), file.Path)...)
	faults = append(faults, localNonReservedPath(path.Child("path"), file.Path)...)
	switch {
	case file.FieldRef != nil:
		faults = append(faults, fieldSelector(path.Child("fieldRef"), file.FieldRef, volumeFieldPaths)...)
		if file.ResourceFieldRef != nil {
			faults = append(faults, field.Invalid(path, "resource", eitherFieldOrRes))
		}
	case file.ResourceFieldRef != nil:
		faults = append(faults, resourceSelector(path.Child("resourceFieldRef"), file.ResourceFieldRef, true)...)
	default:
		faults = append(faults, field.Required(path, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(faults, fileMode(path.Child("mode"), file.Mode)...)
}

func projected(path *field.Path, v *corev1.ProjectedVolumeSource, options PodOptions) field.ErrorList {
	faults := fileMode(path.Child("defaultMode"), v.DefaultMode)
	taken := sets.New[string]()
	use := func(at *field.Path, value any, file string) {
		if file == "" {
			return
		}
		if taken.Has(file) {
			faults = append(faults, field.Invalid(at, value, "conflicting duplicate paths"))
		}
		taken.Insert(file)
	}
	for i := range v.Sources {
		faults = append(faults, projection(path, path.Child("sources").Index(i), &v.Sources[i], use, options)...)
	}
	return faults
}

func projection(path, at *field.Path, p *corev1.VolumeProjection, use func(*field.Path, any, string), options PodOptions) field.ErrorList {
	var faults field.ErrorList
	n := 0
	take := func(name string, found bool, judge func(at *field.Path)) {
		if !found {
			return
		}
		n++
		judge(at.Child(name))
	}
	take("secret", p.Secret != nil, func(at *field.Path) {
		faults = append(faults, Filled(at.Child("name"), p.Secret.Name)...)
		faults = append(faults, keyToPath(at, p.Secret.Items)...)
		for _, item := range p.Secret.Items {
			use(path, p.Secret.Name, item.Path)
		}
	})
	take("configMap", p.ConfigMap != nil, func(at *field.Path) {
		faults = append(faults, Filled(at.Child("name"), p.ConfigMap.Name)...)
		faults = append(faults, keyToPath(at, p.ConfigMap.Items)...)
		for _, item := range p.ConfigMap.Items {
			use(path, p.ConfigMap.Name, item.Path)
		}
	})
	take("downwardAPI", p.DownwardAPI != nil, func(at *field.Path) {
		for i := range p.DownwardAPI.Items {
			faults = append(faults, downwardFile(at, &p.DownwardAPI.Items[i])...)
			use(path, p.DownwardAPI.Items[i].Path, p.DownwardAPI.Items[i].Path)
		}
	})
	take("serviceAccountToken", p.ServiceAccountToken != nil, func(at *field.Path) {
		faults = append(faults, tokenProjection(path, at, p.ServiceAccountToken, options.TokenPaths)...)
	})
	take("clusterTrustBundle", p.ClusterTrustBundle != nil, func(at *field.Path) {
		faults = append(faults, trustBundleProjection(at, p.ClusterTrustBundle)...)
		use(path, p.ClusterTrustBundle.Path, p.ClusterTrustBundle.Path)
	})
	if n > 1 {
		faults = append(faults, field.Forbidden(at, oneVolumeType+" per source"))
	}
	return faults
}

func tokenProjection(path, at *field.Path, p *corev1.ServiceAccountTokenProjection, anywhere bool) field.ErrorList {
	var faults field.ErrorList
	expiry := at.Child("expirationSeconds")
	if p.ExpirationSeconds != nil && *p.ExpirationSeconds < minTokenSeconds {
		faults = append(faults, field.Invalid(expiry, *p.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
	}
	if p.ExpirationSeconds != nil && *p.ExpirationSeconds > maxTokenSeconds {
		faults = append(faults, field.Invalid(expiry, *p.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
	}
	switch {
	case p.Path == "":
		faults = append(faults, field.Required(path.Child("path"), ""))
	case !anywhere:
		faults = append(faults, localNonReservedPath(path.Child("path"), p.Path)...)
	}
	return faults
}

func trustBundleProjection(path *field.Path, p *corev1.ClusterTrustBundleProjection) field.ErrorList {
	var faults field.ErrorList
	switch {
	case p.Name != nil && p.SignerName != nil:
		faults = append(faults, field.Invalid(path, "", "only one of name and signerName may be used"))
	case p.Name != nil && p.LabelSelector != nil:
		faults = append(faults, field.Invalid(path.Child("labelSelector"), GoNames(p.LabelSelector), "labelSelector must be unset if name is specified"))
	case p.Name == nil && p.SignerName == nil:
		faults = append(faults, field.Required(path, "either name or signerName must be specified"))
	case p.SignerName != nil:
		faults = append(faults, LabelSelector(path.Child("labelSelector"), p.LabelSelector, false)...)
	}
	if p.Path == "" {
		return append(faults, field.Required(path.Child("path"), ""))
	}
	return append(faults, localNonReservedPath(path.Child("path"), p.Path)...)
}

func csiVolume(path *field.Path, v *corev1.CSIVolumeSource) field.ErrorList {
	faults := CSIDriverName(path.Child("driver"), v.Driver)
	switch ref := v.NodePublishSecretRef; {
	case ref == nil:
	case ref.Name == "":
		faults = append(faults, field.Required(path.Child("nodePublishSecretRef", "name"), ""))
	default: // what is wrong with it is told of another field
		faults = append(faults, DNSSubdomain(path.Child("name"), ref.Name)...)
	}
	return faults
}

// CSIDriverName judges the name that a driver of volumes or devices goes by.
func CSIDriverName(path *field.Path, driver string) field.ErrorList {
	const maxLength = 63
	var faults field.ErrorList
	if driver == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if len(driver) > maxLength {
		faults = append(faults, field.TooLong(path, driver, maxLength))
	}
	faults = append(faults, Invalid(path, driver, utilvalidation.IsDNS1123Subdomain(strings.ToLower(driver)))...)
	return faults
}

// imageVolume judges a volume of an image. Only a pod must name it, not a template.
func imageVolume(path *field.Path, v *corev1.ImageVolumeSource, named bool) field.ErrorList {
	var faults field.ErrorList
	if named {
		faults = Filled(path.Child("reference"), v.Reference)
	}
	return append(faults, OneOf(path.Child("pullPolicy"), v.PullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
}

func ephemeralVolume(path *field.Path, v *corev1.EphemeralVolumeSource) field.ErrorList {
	at := path.Child("volumeClaimTemplate")
	if v.VolumeClaimTemplate == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	faults := TemplateMeta(at.Child("metadata"), &v.VolumeClaimTemplate.ObjectMeta)
	return append(faults, ClaimSpec(at.Child("spec"), &v.VolumeClaimTemplate.Spec, ClaimOptions{})...)
}

// longClaimName judges the name that the claim of a pod's ephemeral volume will have: it is made of the pod's and the
// volume's.
func longClaimName(path *field.Path, volume string, meta *metav1.ObjectMeta) field.ErrorList {
	if meta == nil || meta.Name == "" || volume == "" {
		return nil
	}
	name := meta.Name + "-" + volume
	var faults field.ErrorList
	for _, text := range utilvalidation.IsDNS1123Subdomain(name) {
		faults = append(faults, field.Invalid(path, volume, fmt.Sprintf("PVC name %q: %v", name, text)))
	}
	return faults
}

// TemplateMeta lets labels and annotations be given to claims that are made from a template, and nothing else.
func TemplateMeta(path *field.Path, meta *metav1.ObjectMeta) field.ErrorList {
	faults := apivalidation.ValidateAnnotations(meta.Annotations, path.Child("annotations"))
	faults = append(faults, metav1validation.ValidateLabels(meta.Labels, path.Child("labels"))...)
	forbid := func(name string, found bool) {
		if found {
			faults = append(faults, field.Forbidden(path.Child(name), "cannot be set"))
		}
	}
	forbid("name", meta.Name != "")
	forbid("generateName", meta.GenerateName != "")
	forbid("namespace", meta.Namespace != "")
	forbid("selfLink", meta.SelfLink != "")
	forbid("uid", meta.UID != "")
	forbid("resourceVersion", meta.ResourceVersion != "")
	forbid("generation", meta.Generation != 0)
	forbid("creationTimestamp", !meta.CreationTimestamp.IsZero())
	forbid("deletionTimestamp", meta.DeletionTimestamp != nil)
	forbid("deletionGracePeriodSeconds", meta.DeletionGracePeriodSeconds != nil)
	forbid("ownerReferences", len(meta.OwnerReferences) > 0)
	forbid("finalizers", len(meta.Finalizers) > 0)
	forbid("managedFields", len(meta.ManagedFields) > 0)
	return faults
}
