package quota

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// deviceClaims counts claims of devices, and the devices that they may be given of each class.
func deviceClaims() Counter {
	return Counter{
		Resource: resourceClaims,
		Charged:  func(w Write) bool { return w.Subresource == "" },
		Counts: func(name corev1.ResourceName) bool {
			return name == CountName(resourceClaims) || strings.HasSuffix(string(name), corev1.ResourceClaimsPerClass) ||
				strings.HasPrefix(string(name), corev1.ResourceImplicitExtendedClaimsPerClass)
		},
		Use: func(obj runtime.Object, _ time.Time) corev1.ResourceList {
			claim, is := obj.(*resourcev1.ResourceClaim)
			if !is {
				return nil
			}
			use := corev1.ResourceList{CountName(resourceClaims): decimal(1)}
			for _, request := range claim.Spec.Devices.Requests {
				for class, n := range devices(request) {
					use = Add(use, corev1.ResourceList{
						corev1.ResourceName(class + corev1.ResourceClaimsPerClass):                 decimal(n),
						corev1.ResourceName(corev1.ResourceImplicitExtendedClaimsPerClass + class): decimal(n),
					})
				}
			}
			return use
		},
	}
}

// devices is how many a request may be given of each class: of alternatives only one comes true, so that the
// greatest counts.
func devices(request resourcev1.DeviceRequest) map[string]int64 {
	most := map[string]int64{}
	take := func(class string, mode resourcev1.DeviceAllocationMode, count int64) {
		n := int64(0)
		switch mode {
		case resourcev1.DeviceAllocationModeExactCount:
			n = count
		case resourcev1.DeviceAllocationModeAll:
			n = resourcev1.AllocationResultsMaxSize
		}
		most[class] = max(most[class], n)
	}
	if e := request.Exactly; e != nil {
		take(e.DeviceClassName, e.AllocationMode, e.Count)
	}
	for _, s := range request.FirstAvailable {
		take(s.DeviceClassName, s.AllocationMode, s.Count)
	}
	return most
}
