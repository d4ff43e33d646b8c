package defaults

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// imageReference is the grammar of image references: an optional registry, a lowercase path, an optional
// tag (group 1) and an optional digest (group 2).
var imageReference = regexp.MustCompile(
	`^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?` +
		`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
		`(?::([\w][\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`)

// Names that look like an image's ID are none, and digests have the length of their algorithm's.
var (
	imageID = regexp.MustCompile(`^[a-f0-9]{64}$`)
	digest  = regexp.MustCompile(`^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$`)
)

const maxRepository = 255

// pullPolicy is Always for images that may change under their name: those tagged latest, or with neither
// tag nor digest. An image that is no reference at all is left to validation.
func pullPolicy(image string) corev1.PullPolicy {
	parts := imageReference.FindStringSubmatch(image)
	if parts == nil || imageID.MatchString(image) || parts[2] != "" && !digest.MatchString(parts[2]) || len(repository(image)) > maxRepository {
		return corev1.PullIfNotPresent
	}
	if parts[1] == "latest" || parts[1] == "" && parts[2] == "" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// repository is the whole name of an image in its registry, which is Docker's where none is named.
func repository(image string) string {
	const official = "library/"
	name, _, _ := strings.Cut(image, "@")
	if registry, rest, more := strings.Cut(name, "/"); more {
		switch {
		case registry == "docker.io" || registry == "index.docker.io":
			name = rest
		case strings.Contains(registry, "_"): // no host has such a name
		case registry == "localhost" || strings.ContainsAny(registry, ".:") || strings.ToLower(registry) != registry:
			name, _, _ = strings.Cut(rest, ":")
			return name
		}
	}
	name, _, _ = strings.Cut(name, ":")
	if !strings.Contains(name, "/") {
		return official + name
	}
	return name
}
