// Package v1 is the wire form of the group apiregistration.k8s.io: which server serves which group version. It is
// written anew because the package that holds it upstream brings a server with it.
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the name of the group.
const GroupName = "apiregistration.k8s.io"

// SchemeGroupVersion is the version of these types.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

// AddToScheme makes the types known.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion, &APIService{}, &APIServiceList{})
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}

// APIService says which server serves a group version. Its name is "version.group".
type APIService struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// Which server that is, and which place the group version has among others.
	Spec APIServiceSpec `json:"spec,omitempty"`
	// What is known of the server.
	Status APIServiceStatus `json:"status,omitempty"`
}

// APIServiceSpec tells where a server is. Servers are spoken to over TLS only.
type APIServiceSpec struct {
	// The service by which the server is reached. Without one the group version is served by this server itself.
	// +optional
	Service *ServiceReference `json:"service,omitempty"`
	// The group that is served.
	Group string `json:"group,omitempty"`
	// The version that is served, such as "v1".
	Version string `json:"version,omitempty"`
	// The server's certificate is not verified. This is strongly discouraged: a caBundle belongs here.
	InsecureSkipTLSVerify bool `json:"insecureSkipTLSVerify,omitempty"`
	// Authorities, in PEM, of which one has signed the server's certificate. Without any those of the system count.
	// +optional
	// +listType=atomic
	CABundle []byte `json:"caBundle,omitempty"`
	// Groups are preferred by clients in the order of this number, highest first; of a group's versions the highest
	// number counts.
	GroupPriorityMinimum int32 `json:"groupPriorityMinimum"`
	// Versions of a group are preferred by clients in the order of this number, highest first, and by their names
	// where numbers are equal: what is stable before what is not, the newer before the older.
	VersionPriority int32 `json:"versionPriority"`
}

// ServiceReference names a service.
type ServiceReference struct {
	// The namespace of the service.
	Namespace string `json:"namespace,omitempty"`
	// The name of the service.
	Name string `json:"name,omitempty"`
	// The port of the service, 443 where none is given.
	// +optional
	Port *int32 `json:"port,omitempty"`
}

// APIServiceStatus is what is known of a server.
type APIServiceStatus struct {
	// What holds for the server.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []APIServiceCondition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// APIServiceCondition says whether something holds for a server.
type APIServiceCondition struct {
	// What is said to hold or not.
	Type APIServiceConditionType `json:"type"`
	// True, False or Unknown.
	Status ConditionStatus `json:"status"`
	// Since when it is so.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
	// Why, in one word.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Why, for people.
	// +optional
	Message string `json:"message,omitempty"`
}

// ConditionStatus says whether a condition holds.
type ConditionStatus string

// The values of ConditionStatus.
const (
	ConditionTrue    ConditionStatus = "True"
	ConditionFalse   ConditionStatus = "False"
	ConditionUnknown ConditionStatus = "Unknown"
)

// APIServiceConditionType names a condition.
type APIServiceConditionType string

// Available says that a server answers.
const Available APIServiceConditionType = "Available"

// APIServiceList is a list of APIService objects.
type APIServiceList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// The objects.
	Items []APIService `json:"items"`
}
