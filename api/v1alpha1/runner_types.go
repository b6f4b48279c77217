// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Runner controls how the bridge's pod runs.
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

	// imagePullSecrets name the Secrets for pulling the image.
	// +optional
	// +listType=atomic
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

	// priorityClassName is the name of the pod's PriorityClass.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// podAnnotations are added to the pod.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=32
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`

	// podLabels are added to the pod. The operator's own labels take precedence.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=32
	PodLabels map[string]string `json:"podLabels,omitempty"`

	// metricsPort is the port on which the runner serves /metrics and /status, from 1024 to
	// 65535. It must not be 8080, the port of the health probes. Default: port 8080 serves
	// them, too.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="self != 8080",reason=FieldValueInvalid,message="metricsPort must differ from 8080, the port of the health probes; choose another port such as 9090, or remove the field to use port 8080 for both"
	MetricsPort *int32 `json:"metricsPort,omitempty"`

	// logLevel is the lowest level of messages that the runner logs. Default info.
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// updatePolicy controls whether a new version of the operator, or a new default image
	// of the runners, replaces the pod. Automatic replaces it as part of a roll-out over
	// all bridges. OnSpecChange keeps the image and the pod template until the user changes
	// the spec, or sets Automatic. A change of the spec is always applied at once. Default
	// Automatic.
	// +optional
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`
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
