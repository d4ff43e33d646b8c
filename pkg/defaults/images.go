package defaults

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
)

// imageReference is the grammar of image references: an optional registry, a lowercase path, an optional
// tag (group 1) and an optional digest (group 2).
var imageReference = regexp.MustCompile(
	`^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?` +
		`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
		`(?::([\w][\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`)

// pullPolicy is Always for images that may change under their name: those tagged latest, or with neither
// tag nor digest. An image that is no reference at all is left to validation.
func pullPolicy(image string) corev1.PullPolicy {
	parts := imageReference.FindStringSubmatch(image)
	if parts != nil && (parts[1] == "latest" || parts[1] == "" && parts[2] == "") {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}
