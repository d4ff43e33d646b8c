package plugins

import (
	"context"
	"strings"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// Bounds of what is worth moving a pod for, in bytes, a container: below the first an image is pulled
// quickly anyway; above the second more does not count.
const (
	smallImage = 23 << 20
	largeImage = 1000 << 20
)

// imageLocality prefers nodes that have the pod's images already. An image that few nodes have counts
// less, so that one node does not draw every pod that uses it.
func imageLocality() framework.Plugin {
	return framework.Plugin{Name: "ImageLocality", Prepare: prepareImageLocality, Wakes: onNodes}
}

func prepareImageLocality(_ context.Context, pod *framework.PodInfo, snapshot *framework.Snapshot) (framework.Evaluation, *framework.Status) {
	containers := len(pod.Pod.Spec.Containers) + len(pod.Pod.Spec.InitContainers)
	spread := map[string]float64{}
	for _, c := range append(pod.Pod.Spec.InitContainers[:len(pod.Pod.Spec.InitContainers):len(pod.Pod.Spec.InitContainers)], pod.Pod.Spec.Containers...) {
		name := withTag(c.Image)
		have := 0
		for _, n := range snapshot.Nodes {
			if n.ImageSize(name) > 0 {
				have++
			}
		}
		if have > 0 {
			spread[name] = float64(have) / float64(len(snapshot.Nodes))
		}
	}
	if len(spread) == 0 {
		return framework.Evaluation{}, nil
	}
	least, most := int64(smallImage), int64(largeImage*containers)
	return framework.Evaluation{Score: func(n *framework.NodeInfo) int64 {
		var sum int64
		for name, share := range spread {
			sum += int64(float64(n.ImageSize(name)) * share)
		}
		return (min(max(sum, least), most) - least) * framework.MaxScore / (most - least)
	}}, nil
}

// withTag names an image as nodes report it: with ":latest" where neither tag nor digest is given.
func withTag(image string) string {
	if strings.LastIndex(image, ":") <= strings.LastIndex(image, "/") {
		return image + ":latest"
	}
	return image
}
