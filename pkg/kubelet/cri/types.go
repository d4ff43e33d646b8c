package cri

import runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

// The messages of CRI v1, under the names that its specification gives them. The rest of the kubelet
// speaks of them through this package, so that the wire stays an affair of one adapter.
type (
	AttachRequest            = runtimev1.AttachRequest
	AuthConfig               = runtimev1.AuthConfig
	Capability               = runtimev1.Capability
	Container                = runtimev1.Container
	ContainerAttributes      = runtimev1.ContainerAttributes
	ContainerConfig          = runtimev1.ContainerConfig
	ContainerEvent           = runtimev1.ContainerEventResponse
	ContainerFilter          = runtimev1.ContainerFilter
	ContainerMetadata        = runtimev1.ContainerMetadata
	ContainerState           = runtimev1.ContainerState
	ContainerStats           = runtimev1.ContainerStats
	ContainerStatsFilter     = runtimev1.ContainerStatsFilter
	ContainerStatus          = runtimev1.ContainerStatus
	ContainerStateValue      = runtimev1.ContainerStateValue
	CPUUsage                 = runtimev1.CpuUsage
	DNSConfig                = runtimev1.DNSConfig
	Device                   = runtimev1.Device
	ExecRequest              = runtimev1.ExecRequest
	ExecSyncResponse         = runtimev1.ExecSyncResponse
	FilesystemIdentifier     = runtimev1.FilesystemIdentifier
	FilesystemUsage          = runtimev1.FilesystemUsage
	HugepageLimit            = runtimev1.HugepageLimit
	Image                    = runtimev1.Image
	ImageFilter              = runtimev1.ImageFilter
	ImageFsInfoResponse      = runtimev1.ImageFsInfoResponse
	ImageSpec                = runtimev1.ImageSpec
	Int64Value               = runtimev1.Int64Value
	KeyValue                 = runtimev1.KeyValue
	LinuxContainerConfig     = runtimev1.LinuxContainerConfig
	LinuxContainerResources  = runtimev1.LinuxContainerResources
	LinuxContainerSecurity   = runtimev1.LinuxContainerSecurityContext
	LinuxPodSandboxConfig    = runtimev1.LinuxPodSandboxConfig
	LinuxPodSandboxStats     = runtimev1.LinuxPodSandboxStats
	LinuxSandboxSecurity     = runtimev1.LinuxSandboxSecurityContext
	MemoryUsage              = runtimev1.MemoryUsage
	Mount                    = runtimev1.Mount
	MountPropagation         = runtimev1.MountPropagation
	NamespaceMode            = runtimev1.NamespaceMode
	NamespaceOption          = runtimev1.NamespaceOption
	NetworkInterfaceUsage    = runtimev1.NetworkInterfaceUsage
	NetworkUsage             = runtimev1.NetworkUsage
	PodIP                    = runtimev1.PodIP
	PodSandbox               = runtimev1.PodSandbox
	PodSandboxAttributes     = runtimev1.PodSandboxAttributes
	PodSandboxConfig         = runtimev1.PodSandboxConfig
	PodSandboxFilter         = runtimev1.PodSandboxFilter
	PodSandboxMetadata       = runtimev1.PodSandboxMetadata
	PodSandboxNetworkStatus  = runtimev1.PodSandboxNetworkStatus
	PodSandboxState          = runtimev1.PodSandboxState
	PodSandboxStats          = runtimev1.PodSandboxStats
	PodSandboxStatsFilter    = runtimev1.PodSandboxStatsFilter
	PodSandboxStatus         = runtimev1.PodSandboxStatus
	PortForwardRequest       = runtimev1.PortForwardRequest
	PortMapping              = runtimev1.PortMapping
	ProcessUsage             = runtimev1.ProcessUsage
	Protocol                 = runtimev1.Protocol
	RuntimeCondition         = runtimev1.RuntimeCondition
	RuntimeHandler           = runtimev1.RuntimeHandler
	RuntimeHandlerFeatures   = runtimev1.RuntimeHandlerFeatures
	RuntimeStatus            = runtimev1.RuntimeStatus
	SELinuxOption            = runtimev1.SELinuxOption
	SecurityProfile          = runtimev1.SecurityProfile
	SecurityProfileType      = runtimev1.SecurityProfile_ProfileType
	StatusResponse           = runtimev1.StatusResponse
	UInt64Value              = runtimev1.UInt64Value
	VersionResponse          = runtimev1.VersionResponse
	ContainerStatusResponse  = runtimev1.ContainerStatusResponse
	PodSandboxStatusResponse = runtimev1.PodSandboxStatusResponse
	PodSandboxStateValue     = runtimev1.PodSandboxStateValue
	ContainerResources       = runtimev1.ContainerResources
	RuntimeConfig            = runtimev1.RuntimeConfig
	NetworkConfig            = runtimev1.NetworkConfig
)

// States, protocols and modes of CRI v1.
const (
	ContainerCreated = runtimev1.ContainerState_CONTAINER_CREATED
	ContainerRunning = runtimev1.ContainerState_CONTAINER_RUNNING
	ContainerExited  = runtimev1.ContainerState_CONTAINER_EXITED
	ContainerUnknown = runtimev1.ContainerState_CONTAINER_UNKNOWN

	SandboxReady    = runtimev1.PodSandboxState_SANDBOX_READY
	SandboxNotReady = runtimev1.PodSandboxState_SANDBOX_NOTREADY

	ContainerCreatedEvent = runtimev1.ContainerEventType_CONTAINER_CREATED_EVENT
	ContainerStartedEvent = runtimev1.ContainerEventType_CONTAINER_STARTED_EVENT
	ContainerStoppedEvent = runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT
	ContainerDeletedEvent = runtimev1.ContainerEventType_CONTAINER_DELETED_EVENT

	NamespacePod       = runtimev1.NamespaceMode_POD
	NamespaceContainer = runtimev1.NamespaceMode_CONTAINER
	NamespaceNode      = runtimev1.NamespaceMode_NODE
	NamespaceTarget    = runtimev1.NamespaceMode_TARGET

	ProtocolTCP  = runtimev1.Protocol_TCP
	ProtocolUDP  = runtimev1.Protocol_UDP
	ProtocolSCTP = runtimev1.Protocol_SCTP

	PropagationPrivate         = runtimev1.MountPropagation_PROPAGATION_PRIVATE
	PropagationHostToContainer = runtimev1.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
	PropagationBidirectional   = runtimev1.MountPropagation_PROPAGATION_BIDIRECTIONAL

	ProfileRuntimeDefault = runtimev1.SecurityProfile_RuntimeDefault
	ProfileUnconfined     = runtimev1.SecurityProfile_Unconfined
	ProfileLocalhost      = runtimev1.SecurityProfile_Localhost

	// RuntimeReady and NetworkReady are the conditions that every runtime's Status holds.
	RuntimeReady = runtimev1.RuntimeReady
	NetworkReady = runtimev1.NetworkReady
)
