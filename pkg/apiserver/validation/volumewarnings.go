package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volume warns of sources that no driver serves any more, and of files that hide each other.
func (w *warner) volume(path *field.Path, v *corev1.Volume) {
	w.oldVolumes(path, v)
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		w.fractionsOf(path.Child("ephemeral", "volumeClaimTemplate", "spec", "resources", "requests"), v.Ephemeral.VolumeClaimTemplate.Spec.Resources.Requests)
	}
	switch {
	case v.ConfigMap != nil:
		w.overlap(fmt.Sprintf("volume %q (ConfigMap %q)", v.Name, v.ConfigMap.Name), keyPaths(v.ConfigMap.Items))
	case v.Secret != nil:
		w.overlap(fmt.Sprintf("volume %q (Secret %q)", v.Name, v.Secret.SecretName), keyPaths(v.Secret.Items))
	case v.DownwardAPI != nil:
		w.overlap(fmt.Sprintf("volume %q (DownwardAPI)", v.Name), downwardPaths(v.DownwardAPI.Items))
	case v.Projected != nil:
		w.projected(v)
	}
}

func (w *warner) oldVolumes(path *field.Path, v *corev1.Volume) {
	old := func(name string, found bool, text string) {
		if found {
			w.say(path.Child(name), "%s", text)
		}
	}
	old("photonPersistentDisk", v.PhotonPersistentDisk != nil, "deprecated in v1.11, non-functional in v1.16+")
	old("gitRepo", v.GitRepo != nil, "deprecated in v1.11, and disabled by default in v1.33+")
	old("scaleIO", v.ScaleIO != nil, "deprecated in v1.16, non-functional in v1.22+")
	old("flocker", v.Flocker != nil, "deprecated in v1.22, non-functional in v1.25+")
	old("storageOS", v.StorageOS != nil, "deprecated in v1.22, non-functional in v1.25+")
	old("quobyte", v.Quobyte != nil, "deprecated in v1.22, non-functional in v1.25+")
	old("glusterfs", v.Glusterfs != nil, "deprecated in v1.25, non-functional in v1.26+")
	old("cephfs", v.CephFS != nil, "deprecated in v1.28, non-functional in v1.31+")
	old("rbd", v.RBD != nil, "deprecated in v1.28, non-functional in v1.31+")
}

func keyPaths(items []corev1.KeyToPath) []string {
	var paths []string
	for _, item := range items {
		paths = append(paths, item.Path)
	}
	return paths
}

func downwardPaths(items []corev1.DownwardAPIVolumeFile) []string {
	var paths []string
	for _, item := range items {
		paths = append(paths, item.Path)
	}
	return paths
}

func (w *warner) overlap(who string, paths []string) {
	for i := range paths {
		for j := range i {
			if pathsOverlap(paths[j], paths[i]) {
				w.said = append(w.said, fmt.Sprintf("%s: overlapping paths: %q with %q", who, paths[i], paths[j]))
			}
		}
	}
}

// pathsOverlap says whether one is the other or lies below it.
func pathsOverlap(a, b string) bool {
	a, b = strings.TrimSuffix(a, "/")+"/", strings.TrimSuffix(b, "/")+"/"
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

// projected warns of overlaps between sources; within one source they are the same as in a volume of its own.
func (w *warner) projected(v *corev1.Volume) {
	type source struct {
		who   string
		paths []string
	}
	var before []source
	for _, s := range v.Projected.Sources {
		var own source
		switch {
		case s.ConfigMap != nil:
			own = source{fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name), keyPaths(s.ConfigMap.Items)}
		case s.Secret != nil:
			own = source{fmt.Sprintf("Secret %q", s.Secret.Name), keyPaths(s.Secret.Items)}
		case s.DownwardAPI != nil:
			own = source{"DownwardAPI", downwardPaths(s.DownwardAPI.Items)}
		case s.ServiceAccountToken != nil:
			own = source{"ServiceAccountToken", []string{s.ServiceAccountToken.Path}}
		case s.ClusterTrustBundle != nil:
			own = source{"ClusterTrustBundle", []string{s.ClusterTrustBundle.Path}}
		}
		w.overlap(fmt.Sprintf("volume %q (Projected %s)", v.Name, own.who), own.paths)
		for _, other := range before {
			for _, a := range own.paths {
				for _, b := range other.paths {
					if pathsOverlap(a, b) {
						w.said = append(w.said, fmt.Sprintf("volume %q (Projected %s): overlapping paths: %q with %q of %s", v.Name, own.who, a, b, other.who))
					}
				}
			}
		}
		before = append(before, own)
	}
}
