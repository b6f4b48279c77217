// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

const (
	deploymentKind = "Deployment"

	// nonRoot is the user and group of the runner. It must be a number, so that the kubelet
	// can verify that it is not root.
	nonRoot = 65532

	// drainSeconds is the time in seconds that a runner has to drain the messages in flight
	// before it is killed.
	drainSeconds = 30

	// lostNodeSeconds is the time in seconds that a pod stays on a node that is not ready
	// or not reachable. With Kubernetes' default of 300, a bridge would be down for five
	// minutes.
	lostNodeSeconds = 30

	httpPort     = 8080
	httpPortName = "http"
	// metricsPortName is the name of the port that runner.metricsPort adds.
	metricsPortName = "metrics"

	manifestDir = "/etc/mqttbridge/bridge"
	secretsDir  = "/etc/mqttbridge/secrets" //nolint:gosec // a path, not a secret
	extraDir    = "/etc/mqttbridge/extra"
)

// deployment returns the Deployment of the bridge's runners.
func deployment(b *v1alpha1.MQTTBridge, defaults podDefaults) (*appsv1ac.DeploymentApplyConfiguration, error) {
	pod, err := podTemplate(b, defaults)
	if err != nil {
		return nil, err
	}
	hashes, err := deploymentHashes(b, pod)
	if err != nil {
		return nil, err
	}
	// The hash is of the template without this variable.
	pod.Spec.Containers[0].WithEnv(corev1ac.EnvVar().WithName(manifest.EnvTemplateHash).WithValue(hashes[annotationTemplateHash]))
	spec := appsv1ac.DeploymentSpec().
		WithReplicas(replicas(b)).
		WithRevisionHistoryLimit(2).
		WithStrategy(strategy(b)).
		WithSelector(metav1ac.LabelSelector().WithMatchLabels(selectorLabels(b.Name))).
		WithTemplate(pod)
	if b.Spec.HasStandby() {
		spec.WithMinReadySeconds(minReadySeconds)
	}
	return appsv1ac.Deployment(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithAnnotations(hashes).
		WithOwnerReferences(ownerReference(b)).
		WithSpec(spec), nil
}

// podTemplate returns the pod template of the runner. Each change of it replaces the pod.
// Therefore it depends only on the part of the spec that podSpecHash covers.
func podTemplate(b *v1alpha1.MQTTBridge, defaults podDefaults) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	runner := ptr.Deref(b.Spec.Runner, v1alpha1.Runner{})

	labels := maps.Clone(runner.PodLabels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, childLabels(b.Name))

	container, err := runnerContainer(&runner, defaults.image)
	if err != nil {
		return nil, err
	}
	if b.Spec.HasStandby() {
		joinGroup(b, container)
	}
	security, err := podSecurityContext(runner.PodSecurityContext)
	if err != nil {
		return nil, err
	}
	spec := corev1ac.PodSpec().
		WithServiceAccountName(serviceAccountName(b)).
		WithAutomountServiceAccountToken(true).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(drainSeconds).
		WithSecurityContext(security).
		WithVolumes(corev1ac.Volume().WithName("bridge").
			WithConfigMap(corev1ac.ConfigMapVolumeSource().
				WithName(childName(b.Name)).
				WithItems(corev1ac.KeyToPath().WithKey(manifestKey).WithPath(manifestKey))))

	if err := mountSecrets(b, spec, container); err != nil {
		return nil, err
	}
	if disk(b) != nil {
		mountClaim(b, spec, container)
	}
	mountExtraVolumes(spec, container, runner.ExtraVolumes)
	if err := customize(spec, container, &runner); err != nil {
		return nil, err
	}
	if err := schedule(spec, &runner); err != nil {
		return nil, err
	}
	pullWith(spec, &runner, defaults.pullSecrets)
	if b.Spec.HasStandby() {
		spread(b, spec, &runner)
	}
	return corev1ac.PodTemplateSpec().
		WithLabels(labels).
		WithAnnotations(runner.PodAnnotations).
		WithSpec(spec.WithContainers(container)), nil
}

// mountSecrets mounts the keys that the bridge names into the pod.
func mountSecrets(b *v1alpha1.MQTTBridge, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) error {
	sources, err := projections(manifest.References(&b.WithDefaults().Spec))
	if err != nil || len(sources) == 0 {
		return err
	}
	spec.WithVolumes(corev1ac.Volume().WithName("secrets").
		WithProjected(corev1ac.ProjectedVolumeSource().
			// Readable only by owner and group; fsGroup sets the group to the runner's.
			WithDefaultMode(0o440).
			WithSources(sources...)))
	container.WithVolumeMounts(corev1ac.VolumeMount().WithName("secrets").WithMountPath(secretsDir).WithReadOnly(true))
	return nil
}

func runnerContainer(runner *v1alpha1.Runner, image string) (*corev1ac.ContainerApplyConfiguration, error) {
	if runner.Image != "" {
		image = runner.Image
	}
	resources, err := convert[corev1ac.ResourceRequirementsApplyConfiguration](runnerResources(runner))
	if err != nil {
		return nil, err
	}
	probe := func(path string) *corev1ac.ProbeApplyConfiguration {
		return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().
			WithPath(path).WithPort(intstr.FromString(httpPortName)))
	}
	container := corev1ac.Container().
		WithName(runnerName).
		WithImage(image).
		WithCommand("/bridge-runner").
		WithArgs(
			"--bridge="+manifestDir+"/"+manifestKey,
			"--secrets="+secretsDir,
			fmt.Sprintf("--listen=:%d", httpPort),
			"--kubernetes").
		WithEnv(fieldVariable("POD_NAME", "metadata.name"), fieldVariable("NODE_NAME", "spec.nodeName")).
		WithPorts(corev1ac.ContainerPort().WithName(httpPortName).WithContainerPort(httpPort)).
		WithResources(resources).
		WithLivenessProbe(probe("/livez").WithPeriodSeconds(10).WithTimeoutSeconds(5)).
		// A short period, because the condition Ready waits for the probe: about two
		// seconds after the start.
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2)).
		// A runner that cannot start logs the cause in its last lines, which the
		// condition Stalled shows.
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithVolumeMounts(corev1ac.VolumeMount().WithName("bridge").WithMountPath(manifestDir).WithReadOnly(true))
	if runner.MetricsPort != nil {
		container.WithArgs(fmt.Sprintf("--metrics-listen=:%d", *runner.MetricsPort)).
			WithPorts(corev1ac.ContainerPort().WithName(metricsPortName).WithContainerPort(*runner.MetricsPort))
	}
	if runner.ImagePullPolicy != "" {
		container.WithImagePullPolicy(runner.ImagePullPolicy)
	}
	return container, nil
}

// fieldVariable returns an environment variable with the value of a field of the pod.
func fieldVariable(name, path string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().
		// The API server would set the default version, and the fingerprints would always differ.
		WithFieldRef(corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(path)))
}

func runnerResources(runner *v1alpha1.Runner) *corev1.ResourceRequirements {
	if runner.Resources != nil {
		return runner.Resources
	}
	return &corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(v1alpha1.DefaultRunnerCPU),
		corev1.ResourceMemory: resource.MustParse(v1alpha1.DefaultRunnerMemory),
	}}
}

// pullWith sets the Secrets for pulling the image.
func pullWith(spec *corev1ac.PodSpecApplyConfiguration, runner *v1alpha1.Runner, defaults []string) {
	names := defaults
	if len(runner.ImagePullSecrets) > 0 {
		names = nil
		for _, secret := range runner.ImagePullSecrets {
			names = append(names, secret.Name)
		}
	}
	for _, name := range names {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(name))
	}
}

// schedule sets the fields that control the choice of the pod's node, and its priority.
func schedule(spec *corev1ac.PodSpecApplyConfiguration, runner *v1alpha1.Runner) error {
	for _, toleration := range tolerations(runner.Tolerations) {
		converted, err := convert[corev1ac.TolerationApplyConfiguration](&toleration)
		if err != nil {
			return err
		}
		spec.WithTolerations(converted)
	}
	if len(runner.NodeSelector) > 0 {
		spec.WithNodeSelector(runner.NodeSelector)
	}
	for i := range runner.TopologySpreadConstraints {
		converted, err := convert[corev1ac.TopologySpreadConstraintApplyConfiguration](&runner.TopologySpreadConstraints[i])
		if err != nil {
			return err
		}
		spec.WithTopologySpreadConstraints(converted)
	}
	if runner.PriorityClassName != "" {
		spec.WithPriorityClassName(runner.PriorityClassName)
	}
	if runner.Affinity != nil {
		affinity, err := convert[corev1ac.AffinityApplyConfiguration](runner.Affinity)
		if err != nil {
			return err
		}
		spec.WithAffinity(affinity)
	}
	return nil
}

// tolerations adds tolerations that move the pod from a lost node to the user's
// tolerations. If a taint has two tolerations, the shorter one applies; therefore the
// operator adds none for a taint that the user tolerates.
func tolerations(users []corev1.Toleration) []corev1.Toleration {
	var out []corev1.Toleration
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if slices.ContainsFunc(users, func(t corev1.Toleration) bool { return t.Key == taint }) {
			continue
		}
		out = append(out, corev1.Toleration{
			Key:               taint,
			Operator:          corev1.TolerationOpExists,
			Effect:            corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To[int64](lostNodeSeconds),
		})
	}
	return append(out, users...)
}

// convert turns an API type into the apply configuration of the same fields.
func convert[T any](in any) (*T, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("converting %T: %w", in, err)
	}
	out := new(T)
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("converting %T: %w", in, err)
	}
	return out, nil
}
