// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Runner controls how the bridge's pod runs.
//
// +kubebuilder:validation:XValidation:rule="!has(self.dnsPolicy) || self.dnsPolicy != 'None' || (has(self.dnsConfig) && has(self.dnsConfig.nameservers) && size(self.dnsConfig.nameservers) > 0)",fieldPath=".dnsConfig",reason=FieldValueInvalid,message="with dnsPolicy None the pod has only the name servers of dnsConfig; set dnsConfig.nameservers, or another dnsPolicy"
// +kubebuilder:validation:XValidation:rule="!has(self.updateWindows) || !has(self.updatePolicy) || self.updatePolicy == 'Automatic'",fieldPath=".updateWindows",reason=FieldValueInvalid,message="updateWindows limit when a roll-out replaces the pod, but with updatePolicy OnSpecChange no roll-out does; remove updateWindows or set updatePolicy to Automatic"
// +kubebuilder:validation:XValidation:rule="!has(self.updateTimeZone) || has(self.updateWindows)",fieldPath=".updateTimeZone",reason=FieldValueInvalid,message="updateTimeZone applies to updateWindows, but updateWindows is empty; add updateWindows or remove updateTimeZone"
type Runner struct {
	// image is the image of the runner. Default: the image that the operator was installed
	// with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Image string `json:"image,omitempty"`

	// imagePullPolicy is the pull policy of the runner's container. Default: the default of
	// Kubernetes.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecrets name the Secrets for pulling the image, each once.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []LocalReference `json:"imagePullSecrets,omitempty"`

	// resources are the resources of the runner's container. Default: requests of 50m CPU
	// and 64Mi memory, and no limits.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// nodeSelector is the node selector of the pod.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations are the tolerations of the pod. The operator adds tolerations, so that
	// Kubernetes replaces the pod 30 seconds after its node is lost, unless this list has
	// tolerations of the same taints.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity is the affinity of the pod.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints control how the pods of several bridges are spread over
	// nodes and zones. A constraint applies to the pods that its labelSelector selects, for
	// example by a label of podLabels.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// runtimeClassName is the name of the pod's RuntimeClass. Default: the runtime of the
	// node.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// podSecurityContext replaces the users and groups of the pod as a whole. An empty
	// object leaves them to the cluster, as OpenShift requires. The pod always runs as a user
	// that is not root, with the seccomp profile RuntimeDefault, without capabilities and
	// with a read-only root file system. Default: user, group and fsGroup 65532.
	// +optional
	PodSecurityContext *PodSecurityContext `json:"podSecurityContext,omitempty"`

	// serviceAccountName is the name of a ServiceAccount in the bridge's namespace, for
	// example with the identity of a cloud provider. The operator grants it the right to
	// patch the status of the bridge. Default: the operator creates a ServiceAccount for
	// each bridge.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="serviceAccountName must be the name of a ServiceAccount: lower case letters, digits, '-' and '.'"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// dnsPolicy is the DNS policy of the pod. None requires dnsConfig. Default ClusterFirst.
	// +optional
	// +kubebuilder:validation:Enum=ClusterFirst;Default;None
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`

	// dnsConfig adds name servers, search domains and options to the settings of dnsPolicy.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`

	// hostAliases are entries of the pod's hosts file, for servers that DNS does not know.
	// +optional
	// +listType=map
	// +listMapKey=ip
	// +kubebuilder:validation:MaxItems=64
	HostAliases []corev1.HostAlias `json:"hostAliases,omitempty"`

	// env are environment variables of the runner's container, such as SSL_CERT_FILE,
	// GOMEMLIMIT or GOMAXPROCS. The operator sets POD_NAME, NODE_NAME and
	// TEMPLATE_HASH.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['POD_NAME', 'NODE_NAME', 'TEMPLATE_HASH']))",reason=FieldValueInvalid,message="the operator sets POD_NAME, NODE_NAME and TEMPLATE_HASH; remove them"
	Env []corev1.EnvVar `json:"env,omitempty"`

	// extraVolumes are ConfigMaps and Secrets whose keys are files in the directory
	// /etc/mqttbridge/extra/NAME, for example certificate authorities for SSL_CERT_FILE.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ExtraVolumes []ExtraVolume `json:"extraVolumes,omitempty"`

	// networkPolicy makes the operator create a NetworkPolicy, which limits the connections that
	// the pods of the bridge open to those that a bridge needs. An empty object suffices. It has
	// no effect if the network plugin of the cluster does not support NetworkPolicies. Default:
	// the operator creates none.
	// +optional
	NetworkPolicy *NetworkPolicy `json:"networkPolicy,omitempty"`

	// priorityClassName is the name of the pod's PriorityClass.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// podAnnotations are added to the pod. They cannot change its AppArmor profile.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.exists(k, k.startsWith('container.apparmor.security.beta.kubernetes.io/'))",reason=FieldValueInvalid,message="the pod keeps the AppArmor profile of the container runtime; remove the annotations with the prefix container.apparmor.security.beta.kubernetes.io/"
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=32
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`

	// podLabels are added to the pod. The operator's own labels take precedence.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=32
	PodLabels map[string]string `json:"podLabels,omitempty"`

	// metricsPort is the port on which the runner serves /metrics, /status, and its page for
	// browsers at /, from 1024 to 65535. It must not be 8080, the port of the health probes.
	// Default: port 8080 serves them, too.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="self != 8080",reason=FieldValueInvalid,message="metricsPort must differ from 8080, the port of the health probes; choose another port such as 9090, or remove the field to use port 8080 for both"
	MetricsPort *int32 `json:"metricsPort,omitempty"`

	// logLevel is the lowest level of messages that the runner logs. Default info.
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// logFormat is the format of the runner's log: text, with pairs key=value in each line, or
	// json, with an object in each line. Default text.
	// +optional
	LogFormat LogFormat `json:"logFormat,omitempty"`

	// updatePolicy controls whether a new version of the operator, or a new default image
	// of the runners, replaces the pod. Automatic replaces it as part of a roll-out over
	// all bridges. OnSpecChange keeps the image and the pod template until the user changes
	// a field that needs a new pod, such as resources, or sets Automatic. A change of the
	// spec is always applied at once. Default Automatic.
	// +optional
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`

	// updateWindows are the times in which a roll-out may replace the pod, because of a new
	// version of the operator or a new default image of the runners. A replacement that has
	// started continues when the window closes. A pod that does not become healthy after a
	// replacement is replaced at any time. Default: the windows of the operator's flag
	// --update-windows, or at any time if it is not set.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	UpdateWindows []Window `json:"updateWindows,omitempty"`

	// updateTimeZone is the time zone of updateWindows, a name of the IANA time zone database
	// such as Europe/Berlin. Default UTC.
	// +optional
	UpdateTimeZone TimeZone `json:"updateTimeZone,omitempty"`
}

// UpdatePolicy controls when a pod is replaced because of a new version of the operator.
//
// +kubebuilder:validation:Enum=Automatic;OnSpecChange
type UpdatePolicy string

// The update policies.
const (
	UpdateAutomatic    UpdatePolicy = "Automatic"
	UpdateOnSpecChange UpdatePolicy = "OnSpecChange"
)

// PodSecurityContext is the part of a pod's security context that a bridge may set.
type PodSecurityContext struct {
	// runAsUser is the UID of the runner. Default: the user of the image, 65532.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsUser *int64 `json:"runAsUser,omitempty"`

	// runAsGroup is the primary GID of the runner. Default: the group of the image, 65532.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsGroup *int64 `json:"runAsGroup,omitempty"`

	// fsGroup is the GID of the files in the volumes. The runner needs it to read Secrets
	// and to write the buffer on disk. Default: none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	FSGroup *int64 `json:"fsGroup,omitempty"`

	// supplementalGroups are more GIDs of the runner.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=2147483647
	SupplementalGroups []int64 `json:"supplementalGroups,omitempty"`

	// seLinuxOptions is the SELinux context of the pod. The user and the role cannot be set, and
	// the type must be a type of containers. Default: the context that the container runtime
	// assigns.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.user) || self.user == '') && (!has(self.role) || self.role == '') && (!has(self.type) || self.type in ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'])",reason=FieldValueInvalid,message="seLinuxOptions must set neither user nor role, and its type must be container_t, container_init_t, container_kvm_t or container_engine_t, as the Pod Security Standard baseline requires; change it, or remove it"
	SELinuxOptions *corev1.SELinuxOptions `json:"seLinuxOptions,omitempty"`
}

// ExtraVolume is a ConfigMap or a Secret that is mounted in the runner's pod.
//
// +kubebuilder:validation:XValidation:rule="has(self.configMap) != has(self.secret)",fieldPath=".name",reason=FieldValueInvalid,message="an extra volume needs either configMap or secret; set one of them"
type ExtraVolume struct {
	// name is the name of the directory under /etc/mqttbridge/extra.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",reason=FieldValueInvalid,message="the name of an extra volume must consist of lower case letters, digits and '-', and start and end with a letter or digit"
	Name string `json:"name,omitempty"`

	// configMap names a ConfigMap in the bridge's namespace. If it is missing, the pod does
	// not start.
	// +optional
	ConfigMap *LocalReference `json:"configMap,omitempty"`

	// secret names a Secret in the bridge's namespace. If it is missing, the pod does not
	// start.
	// +optional
	Secret *LocalReference `json:"secret,omitempty"`
}

// LogLevel is the lowest level of messages that the runner logs.
//
// +kubebuilder:validation:Enum=debug;info;warn;error
type LogLevel string

// The log levels.
const (
	LogLevelDebug LogLevel = "debug"
	LogLevelInfo  LogLevel = "info"
	LogLevelWarn  LogLevel = "warn"
	LogLevelError LogLevel = "error"
)

// LogFormat is the format of the runner's log.
//
// +kubebuilder:validation:Enum=text;json
type LogFormat string

// The log formats.
const (
	LogFormatText LogFormat = "text"
	LogFormatJSON LogFormat = "json"
)
