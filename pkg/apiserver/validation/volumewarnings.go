package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// files warns of files in a volume that hide each other.
func (w *warner) files(v *corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		w.overlap(fmt.Sprintf("volume %q (ConfigMap %q)", v.Name, v.ConfigMap.Name), keyPaths(v.ConfigMap.Items, ""))
	case v.Secret != nil:
		w.overlap(fmt.Sprintf("volume %q (Secret %q)", v.Name, v.Secret.SecretName), keyPaths(v.Secret.Items, ""))
	case v.DownwardAPI != nil:
		w.overlap(fmt.Sprintf("volume %q (DownwardAPI)", v.Name), downwardPaths(v.DownwardAPI.Items, ""))
	case v.Projected != nil:
		w.projected(v)
	}
}

// oldVolumes warns of sources that no driver serves any more.
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
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		w.said = append(w.said, ClaimWarnings(path.Child("ephemeral", "volumeClaimTemplate", "spec"), &v.Ephemeral.VolumeClaimTemplate.Spec)...)
	}
	old("cephfs", v.CephFS != nil, "deprecated in v1.28, non-functional in v1.31+")
	old("rbd", v.RBD != nil, "deprecated in v1.28, non-functional in v1.31+")
}

// writtenPath is where a volume puts a file, and of a projected one what brings it.
type writtenPath struct{ path, source string }

func (p writtenPath) String() string {
	if p.source == "" {
		return fmt.Sprintf("%q", p.path)
	}
	return fmt.Sprintf("%q (%s)", p.path, p.source)
}

func written(path, source string) writtenPath {
	return writtenPath{strings.TrimRight(path, "/"), source}
}

func keyPaths(items []corev1.KeyToPath, source string) []writtenPath {
	var paths []writtenPath
	for _, item := range items {
		paths = append(paths, written(item.Path, source))
	}
	return paths
}

func downwardPaths(items []corev1.DownwardAPIVolumeFile, source string) []writtenPath {
	var paths []writtenPath
	for _, item := range items {
		paths = append(paths, written(item.Path, source))
	}
	return paths
}

// mostPathPairs is how many pairs of one volume's paths are compared: a request can hold tens of thousands of paths.
const mostPathPairs = 100_000

func (w *warner) overlap(who string, paths []writtenPath) {
	left := mostPathPairs
	for i := range paths {
		for j := range min(i, left) {
			left--
			if pathsOverlap(paths[j].path, paths[i].path) {
				w.said = append(w.said, fmt.Sprintf("%s: overlapping paths: %s with %s", who, paths[i], paths[j]))
			}
		}
	}
}

// pathsOverlap says whether one is the other or lies below it. An empty path is refused elsewhere.
func pathsOverlap(a, b string) bool {
	return a != "" && b != "" && (strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/"))
}

func (w *warner) projected(v *corev1.Volume) {
	var paths []writtenPath
	for i := range v.Projected.Sources {
		if v.Projected.Sources[i] == (corev1.VolumeProjection{}) {
			w.said = append(w.said, fmt.Sprintf("volume %q (Projected) has no sources provided", v.Name))
		}
		paths = append(paths, projectedPaths(&v.Projected.Sources[i])...)
	}
	w.overlap(fmt.Sprintf("volume %q (Projected)", v.Name), paths)
}

func projectedPaths(s *corev1.VolumeProjection) []writtenPath {
	switch {
	case s.ConfigMap != nil:
		return keyPaths(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil:
		return keyPaths(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil:
		return downwardPaths(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []writtenPath{written(s.ServiceAccountToken.Path, "ServiceAccountToken")}
	case s.ClusterTrustBundle != nil:
		name := ptr.Deref(s.ClusterTrustBundle.Name, ptr.Deref(s.ClusterTrustBundle.SignerName, ""))
		return []writtenPath{written(s.ClusterTrustBundle.Path, fmt.Sprintf("ClusterTrustBundle %q", name))}
	case s.PodCertificate != nil:
		return certificatePaths(s.PodCertificate)
	}
	return nil
}

func certificatePaths(c *corev1.PodCertificateProjection) []writtenPath {
	var paths []writtenPath
	for _, p := range []writtenPath{
		written(c.CertificateChainPath, "PodCertificate chain"),
		written(c.KeyPath, "PodCertificate key"),
		written(c.CredentialBundlePath, "PodCertificate credential bundle"),
	} {
		if p.path != "" {
			paths = append(paths, p)
		}
	}
	return paths
}
