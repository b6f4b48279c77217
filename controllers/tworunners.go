// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	coordinationv1ac "k8s.io/client-go/applyconfigurations/coordination/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// With replicas: 2, the two runners of a bridge are the members of a group. They need a Lease, a
// PodDisruptionBudget, and a Deployment that replaces them one by one. With replicas: 1, all
// children are as if this file did not exist.

const (
	leaseKind  = "Lease"
	budgetKind = "PodDisruptionBudget"

	peerPortName = "peer"
)

// lease returns the Lease of the group. The members own its spec and the annotations about them.
func lease(b *v1alpha1.MQTTBridge) *coordinationv1ac.LeaseApplyConfiguration {
	return coordinationv1ac.Lease(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b))
}

// leaseRule permits the members to use their Lease. The operator creates it.
func leaseRule(b *v1alpha1.MQTTBridge) *rbacv1ac.PolicyRuleApplyConfiguration {
	return rbacv1ac.PolicyRule().
		WithAPIGroups(coordinationv1.GroupName).
		WithResources("leases").
		WithResourceNames(childName(b.Name)).
		WithVerbs("get", "watch", "update")
}

// disruptionBudget returns the PodDisruptionBudget of the group: a drain of nodes evicts one runner
// at a time. A pod that is not ready forwards nothing and is no warm standby. It may always be evicted,
// so that a standby that crashes does not block the drain of its node.
func disruptionBudget(b *v1alpha1.MQTTBridge) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selectorLabels(b.Name))))
}

// minReadySeconds is the time for which a new pod of two runners must be ready before a roll-out continues. Otherwise
// the pods of a roll-out end at almost the same moment: the active one hands over to the earlier standby, which
// ends, too, or to no one, because the new pod has not connected to it yet.
const minReadySeconds = 2

// strategy returns the strategy of the Deployment. Members are replaced one by one: a new pod is
// warm before an old one ends, and markActive makes the standby end first.
//
// If the pods must be on different nodes or zones, and there are only two of them, no place is left for
// a third pod, and a roll-out would wait for it forever. The standby then ends before a new pod starts.
func strategy(b *v1alpha1.MQTTBridge) *appsv1ac.DeploymentStrategyApplyConfiguration {
	if !b.Spec.HasStandby() {
		// Two runners without a group must never run at once: they use the same MQTT client
		// identifier and would take over each other's session.
		return recreate()
	}
	surge, unavailable := int32(1), int32(0)
	if requiresSeparation(b) {
		surge, unavailable = 0, 1
	}
	return appsv1ac.DeploymentStrategy().
		WithType(appsv1.RollingUpdateDeploymentStrategyType).
		WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
			WithMaxSurge(intstr.FromInt32(surge)).
			WithMaxUnavailable(intstr.FromInt32(unavailable)))
}

// requiresSeparation reports whether the spec has a required anti-affinity, of any topology. It may be
// about other pods only: then the slower replacement does no harm.
func requiresSeparation(b *v1alpha1.MQTTBridge) bool {
	affinity := ptr.Deref(ptr.Deref(b.Spec.Runner, v1alpha1.Runner{}).Affinity, corev1.Affinity{})
	return affinity.PodAntiAffinity != nil && len(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}

// recreate returns the strategy that ends all old pods before it starts a new one.
func recreate() *appsv1ac.DeploymentStrategyApplyConfiguration {
	return appsv1ac.DeploymentStrategy().WithType(appsv1.RecreateDeploymentStrategyType)
}

// joinGroup makes the runner of a container a member of the group.
func joinGroup(b *v1alpha1.MQTTBridge, container *corev1ac.ContainerApplyConfiguration) {
	container.
		WithArgs(
			"--group="+childName(b.Name),
			fmt.Sprintf("--group-listen=:%d", v1alpha1.PeerPort),
			fmt.Sprintf("--lease-duration=%ds", b.Spec.LeaseSeconds())).
		WithEnv(fieldVariable(manifest.EnvPodIP, "status.podIP")).
		WithPorts(corev1ac.ContainerPort().WithName(peerPortName).WithContainerPort(v1alpha1.PeerPort))
}

// spread places the members on different nodes if there are any, unless the user has chosen how to
// place them. Only pods of one template count, so that the old pods of a roll-out do not matter.
func spread(b *v1alpha1.MQTTBridge, spec *corev1ac.PodSpecApplyConfiguration, runner *v1alpha1.Runner) {
	if len(runner.TopologySpreadConstraints) > 0 || runner.Affinity != nil {
		return
	}
	spec.WithTopologySpreadConstraints(corev1ac.TopologySpreadConstraint().
		WithTopologyKey(corev1.LabelHostname).
		WithMaxSkew(1).
		WithWhenUnsatisfiable(corev1.ScheduleAnyway).
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(selectorLabels(b.Name))).
		WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey))
}

// runnersOf returns the number of runners for which a pod template was made, from the annotations
// of its Deployment.
func runnersOf(annotations map[string]string) int32 {
	if n, err := strconv.ParseInt(annotations[annotationRunners], 10, 32); err == nil {
		return int32(n)
	}
	return 1
}

// markRunners sets annotationRunners, which is absent for one runner.
func markRunners(b *v1alpha1.MQTTBridge, annotations map[string]string) {
	if b.Spec.HasStandby() {
		annotations[annotationRunners] = strconv.Itoa(int(*b.Spec.Replicas))
	}
}

// stageStrategy is the part of stage for the strategy of the Deployment. While the number of runners
// changes to two, the Deployment ends the runner without a group before it starts the members. It
// wants one pod until then: a Deployment whose number and template change at once first starts
// another pod of the old template.
func (r *Reconciler) stageStrategy(ctx context.Context, b *v1alpha1.MQTTBridge, s *staged, live *appsv1.Deployment) error {
	if live == nil || !b.Spec.HasStandby() {
		return nil
	}
	grouped, err := r.onlyMembers(ctx, b, live)
	if grouped || err != nil {
		return err
	}
	if s.deployment == nil {
		if s.deployment, err = deployment(b, r.podDefaults()); err != nil {
			return err
		}
	}
	s.deployment.Spec.Strategy = recreate()
	s.deployment.Spec.WithReplicas(min(replicas(b), 1))
	return nil
}

// onlyMembers reports whether all pods of a bridge are members of its group. The strategy Recreate
// stays until they are: with it, the first pod of the template for two runners shows that all earlier
// pods have ended.
func (r *Reconciler) onlyMembers(ctx context.Context, b *v1alpha1.MQTTBridge, live *appsv1.Deployment) (bool, error) {
	annotations, _ := stagingOf(live)
	s := &live.Status
	switch {
	case runnersOf(annotations) < 2:
		return false, nil
	case live.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType:
		return true, nil
	case s.ObservedGeneration < live.Generation, s.UpdatedReplicas < 1, s.Replicas > s.UpdatedReplicas:
		return false, nil
	}
	pods, err := r.podsOf(ctx, b)
	return !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !p.DeletionTimestamp.IsZero() && podAlive(p) }), err
}

// podsOf returns the cached pods of a bridge. They must not be changed.
func (r *Reconciler) podsOf(ctx context.Context, b *v1alpha1.MQTTBridge) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(b.Namespace), client.MatchingFields{podsOfBridge: b.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the pods: %w", err)
	}
	return pods.Items, nil
}
