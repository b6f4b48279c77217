// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const testPod = "plant-bridge-1"

// observed returns the observation of a bridge that forwards, with changes.
func observed(changes ...func(*observation)) *observation {
	b := newBridge("default", "plant")
	b.Generation = 3
	b.Status.Runners = []v1alpha1.RunnerStatus{{Pod: testPod, Role: v1alpha1.RunnerActive, StartTime: metav1.NewTime(epoch), Generation: 3}}
	b.Status.Local, b.Status.Remote = localUp(), remoteOnPrimary()
	o := &observation{
		bridge: b,
		deployment: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{
				Name: "plant-bridge", Generation: 2,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(b, v1alpha1.GroupVersion.WithKind(bridgeKind))},
			},
			Spec:   appsv1.DeploymentSpec{Replicas: ptr.To[int32](1)},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 2, UpdatedReplicas: 1},
		},
		pods: []corev1.Pod{*runnerPod(b, testPod)},
	}
	for _, change := range changes {
		change(o)
	}
	return o
}

func withSides(local, remote *v1alpha1.SideStatus) func(*observation) {
	return func(o *observation) { o.bridge.Status.Local, o.bridge.Status.Remote = local, remote }
}

func noPods(o *observation) { o.pods = nil }

func suspended(o *observation) {
	o.bridge.Spec.Suspend, o.deployment.Spec.Replicas = ptr.To(true), ptr.To[int32](0)
}

func unreported(o *observation) {
	o.bridge.Status.Runners, o.bridge.Status.Local, o.bridge.Status.Remote = nil, nil, nil
}

// generation4 changes the spec; the runner still runs generation 3.
func generation4(o *observation) { o.bridge.Generation = 4 }

// invalid is an error in the spec.
func invalid(o *observation) {
	o.stall = &stallError{v1alpha1.ReasonInvalidSpec, errors.New("spec.localToRemote: loops")}
	o.failure = o.stall
}

// onLostNode is the change that the node controller makes to the pods of a lost node.
func onLostNode(o *observation) {
	o.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse
	o.pods[0].Status.Conditions[0].LastTransitionTime = metav1.NewTime(epoch.Add(time.Minute))
}

// withRestarts adds a container that has ended a number of times and runs since the given time.
func withRestarts(count int32, since time.Time) func(*observation) {
	return func(o *observation) {
		o.bridge.Status.ActiveRunner().StartTime = metav1.NewTime(since)
		o.pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: runnerName, RestartCount: count,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 2, Reason: "Error", Message: "panic", StartedAt: metav1.NewTime(since.Add(-time.Minute)), FinishedAt: metav1.NewTime(since.Add(-time.Second)),
			}},
		}}
	}
}

// withBacklogs adds the reported states of the buffer on disk.
func withBacklogs(localToRemote, remoteToLocal *v1alpha1.BacklogStatus) func(*observation) {
	return func(o *observation) {
		withDisk(o.bridge, "1Gi", "fast")
		o.bridge.Status.Buffer = &v1alpha1.BufferStatus{LocalToRemote: localToRemote, RemoteToLocal: remoteToLocal}
	}
}

// withShortfalls adds shortfalls to the servers in use.
func withShortfalls(reasons ...string) func(*observation) {
	return func(o *observation) {
		for name, side := range map[string]*v1alpha1.SideStatus{"local": o.bridge.Status.Local, "remote": o.bridge.Status.Remote} {
			for _, reason := range reasons {
				side.Shortfalls = append(side.Shortfalls, v1alpha1.Shortfall{Reason: reason, Message: reason + " of " + name})
			}
		}
	}
}

// unforwardable adds reported messages that no server accepts.
func unforwardable(localToRemote, remoteToLocal *v1alpha1.UnforwardableMessage) func(*observation) {
	return func(o *observation) {
		o.bridge.Status.Unforwardable = &v1alpha1.UnforwardableStatus{LocalToRemote: localToRemote, RemoteToLocal: remoteToLocal}
	}
}

func unforwardableMessage(topic string, at time.Time) *v1alpha1.UnforwardableMessage {
	return &v1alpha1.UnforwardableMessage{
		Topic: topic, Bytes: ptr.To[int64](7), Reason: v1alpha1.ReasonEndsSession, Message: "closed; it is dropped",
		Time: metav1.NewMicroTime(at), Blocking: ptr.To(false),
	}
}

func backlog(state v1alpha1.BacklogState, message string) *v1alpha1.BacklogStatus {
	return &v1alpha1.BacklogStatus{State: state, Since: metav1.NewTime(epoch), Message: message}
}

// withUnboundClaim adds a claim of a storage class, in the given phase, and a pod that
// waits for it.
func withUnboundClaim(class string, phase corev1.PersistentVolumeClaimPhase) func(*observation) {
	return func(o *observation) {
		unreported(o)
		withDisk(o.bridge, "1Gi", class)
		o.claim = &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "plant-bridge"},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-7"},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: phase},
		}
		if class != "" {
			o.claim.Spec.StorageClassName = &class
		}
		o.pods[0].Status = unscheduledStatus()
	}
}

func size(text string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(text)}
}

// unscheduledStatus is the status of a pod whose claim has no volume.
func unscheduledStatus() corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims", LastTransitionTime: metav1.NewTime(epoch),
	}}}
}

func withWaitingContainer(reason, message string, last *corev1.ContainerStateTerminated) func(*observation) {
	return func(o *observation) {
		o.pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name:                 runnerName,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: last},
		}}
	}
}

// endedAtItsStart adds a container whose runner has ended at the epoch, when the reporting runner started.
func endedAtItsStart(now corev1.ContainerState) func(*observation) {
	return func(o *observation) {
		o.pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: runnerName, RestartCount: 1, State: now,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 2, StartedAt: metav1.NewTime(epoch.Add(-time.Second)), FinishedAt: metav1.NewTime(epoch),
			}},
		}}
	}
}

func TestConditions_Observation_GivesConditions(t *testing.T) {
	const (
		primaryFailed = "primary (mqtt://a:1883) failed: AuthenticationFailed: the user name or password is wrong"
		noVolume      = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims"
		backupFailed  = "backup-1 (mqtt://b:1883) failed: ConnectionRefused: nothing listens there"
	)
	// want maps each condition to "STATUS/REASON MESSAGE", to the start of it, or to
	// "absent".
	for _, tt := range []struct {
		promise string
		given   *observation
		want    map[string]string
	}{
		{
			"a bridge with both sides on their primary is Ready, and neither degraded, reconciling nor stalled", observed(),
			map[string]string{
				"Ready":           "True/Forwarding forwarding with generation 3 between primary (mqtt://local:1883) on the local side and primary (mqtt://a:1883) on the remote side",
				"LocalConnected":  "True/Connected connected to primary (mqtt://local:1883)",
				"RemoteConnected": "True/Connected connected to primary (mqtt://a:1883)",
				"Degraded":        "False/ActiveOnPrimary",
				"Reconciling":     "absent", "Stalled": "absent",
			},
		},
		{
			"on a backup it is Ready and Degraded, and reports why the primary failed", observed(withSides(localUp(), remoteOnBackup())),
			map[string]string{
				"Ready":           "True/Forwarding",
				"RemoteConnected": "True/Connected connected to backup-1 (mqtt://b:1883); " + primaryFailed,
				"Degraded":        "True/ActiveOnBackup the remote side is on backup-1 (mqtt://b:1883), not on its primary server; status.remote.servers shows the state of the primary server; the remote side cannot fail over to primary (mqtt://a:1883), which has failed: AuthenticationFailed",
			},
		},
		{
			"with no server it is not Ready, and the reason comes from the preferred server", observed(withSides(localUp(), remoteDown())),
			map[string]string{
				"Ready":           "False/NotConnected the remote side has no connected server: " + primaryFailed + "; " + backupFailed,
				"LocalConnected":  "True/Connected",
				"RemoteConnected": "False/AuthenticationFailed no server is connected; " + primaryFailed + "; " + backupFailed,
				"Degraded":        "Unknown/NotConnected",
			},
		},
		{
			"with no server on either side both are named", observed(withSides(remoteDown(), remoteDown())),
			map[string]string{
				"Ready": "False/NotConnected the local side has no connected server: " + primaryFailed + "; " + backupFailed +
					"; the remote side has none either",
				"RemoteConnected": "False/AuthenticationFailed no server is connected; " + primaryFailed + "; " + backupFailed,
			},
		},
		{
			"without a failure it is connecting", observed(withSides(localUp(), side(serverStatus("primary", primaryURL, v1alpha1.ServerStandby)))),
			map[string]string{"RemoteConnected": "False/Connecting no server has been reached yet", "Ready": "False/NotConnected"},
		},
		{
			"a side on a backup degrades the bridge even while the other has no server", observed(withSides(nil, remoteOnBackup())),
			map[string]string{"Degraded": "True/ActiveOnBackup", "Ready": "False/NotConnected the local side"},
		},
		{
			"Ready is never True without the reporting pod, whatever its last report says", observed(noPods),
			map[string]string{
				"Ready": "False/RunnerNotRunning no runner pod exists", "LocalConnected": "False/RunnerNotRunning",
				"RemoteConnected": "False/RunnerNotRunning", "Degraded": "Unknown/RunnerNotRunning", "Reconciling": "True/Progressing",
			},
		},
		{
			"Ready is never True once the reporting pod is not ready", observed(func(o *observation) {
				o.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse
				o.pods[0].Status.Conditions[0].Reason = "ContainersNotReady"
				o.pods[0].Status.Conditions[0].LastTransitionTime = metav1.NewTime(epoch.Add(time.Minute))
			}),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is not ready", "Reconciling": "True/Progressing"},
		},
		{
			"Ready is never True once the container that reported has ended", observed(func(o *observation) {
				o.pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name:                 runnerName,
					LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(epoch.Add(time.Second))}},
				}}
			}),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is not ready"},
		},
		{
			"a report is believed while the kubelet has not reported the start yet", observed(func(o *observation) {
				o.pods[0].Status.Phase = corev1.PodPending
				o.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse
				o.pods[0].Status.Conditions[0].Reason = "ContainersNotReady"
				o.pods[0].Status.Conditions[0].LastTransitionTime = metav1.NewTime(epoch)
				o.pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name:                 runnerName,
					LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(epoch)}},
				}}
			}),
			map[string]string{"Ready": "True/Forwarding"},
		},
		{
			"Ready is never True while the runner that reported has ended in the second of its start, and the kubelet waits", observed(endedAtItsStart(corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: crashLoop},
			})),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is not ready"},
		},
		{
			"Ready is never True while the next runner, which runs since a later time, has not reported", observed(endedAtItsStart(corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(epoch.Add(10 * time.Second))},
			})),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is not ready"},
		},
		{
			"Ready is True if the kubelet notes the start of the container in the second after the runner's own", observed(endedAtItsStart(corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(epoch.Add(time.Second))},
			})),
			map[string]string{"Ready": "True/Forwarding"},
		},
		{
			"Ready is True if the report is of a runner that started in the second in which the one before it ended", observed(endedAtItsStart(corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(epoch)},
			})),
			map[string]string{"Ready": "True/Forwarding"},
		},
		{
			"Ready does not depend on an earlier end of a container that an admission webhook has added", observed(endedAtItsStart(corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(epoch.Add(2 * time.Minute))},
			}), func(o *observation) {
				c := &o.pods[0].Status.ContainerStatuses[0]
				c.Name, c.LastTerminationState.Terminated.FinishedAt = "sidecar", metav1.NewTime(epoch.Add(time.Minute))
			}),
			map[string]string{"Ready": "True/Forwarding"},
		},
		{
			"Ready is never True because of the pod of an earlier bridge of this name", observed(func(o *observation) { o.deployment.OwnerReferences[0].UID = "earlier" }),
			map[string]string{"Ready": "False/RunnerNotRunning Deployment plant-bridge does not belong to this bridge", "LocalConnected": "False/RunnerNotRunning"},
		},
		{
			"Ready is never True while the reporting pod is being deleted", observed(func(o *observation) {
				o.pods[0].DeletionTimestamp = ptr.To(metav1.NewTime(epoch))
			}),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is being deleted"},
		},
		{
			"Ready is never True while the reporting pod does not run", observed(func(o *observation) {
				o.pods[0].Status.Phase = corev1.PodFailed
			}),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is failed"},
		},
		{
			"a pod that has not reported is awaited", observed(unreported),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 has not reported its state yet", "Reconciling": "True/Progressing runner pod plant-bridge-1 has not reported its state yet"},
		},
		{
			"a pod that no node accepts is reported", observed(unreported, func(o *observation) {
				o.pods[0].Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
					{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available", LastTransitionTime: metav1.NewTime(epoch)},
				}}
			}),
			map[string]string{"Reconciling": "True/Progressing runner pod plant-bridge-1 is not scheduled: 0/3 nodes are available"},
		},
		{
			"a pod that is not scheduled because it has no storage class stalls, and Ready gives the cause", observed(withUnboundClaim("", corev1.ClaimPending)),
			map[string]string{
				"Ready": "False/RunnerNotRunning PersistentVolumeClaim plant-bridge has no volume, because it has no storage class and the cluster has no default class; " +
					"name a class in spec.buffer.disk.storageClassName; runner pod plant-bridge-1 is not scheduled: " + noVolume,
				"Stalled":     "True/VolumeMissing PersistentVolumeClaim plant-bridge has no volume, because it has no storage class",
				"Reconciling": "absent",
			},
		},
		{
			"a volume that is being created is awaited", observed(withUnboundClaim("fast", corev1.ClaimPending)),
			map[string]string{
				"Stalled": "absent",
				"Reconciling": "True/Progressing PersistentVolumeClaim plant-bridge has no volume of storage class fast yet; if this does not end, the events of the claim show the cause: kubectl describe pvc; " +
					"runner pod plant-bridge-1 is not scheduled: " + noVolume,
			},
		},
		{
			"a lost volume stalls", observed(withUnboundClaim("fast", corev1.ClaimLost)),
			map[string]string{"Stalled": "True/VolumeMissing PersistentVolumeClaim plant-bridge has lost its volume pv-7"},
		},
		{
			"a volume that is being expanded is awaited", observed(func(o *observation) {
				withDisk(o.bridge, "2Gi", "fast")
				o.claim = &corev1.PersistentVolumeClaim{
					ObjectMeta: metav1.ObjectMeta{Name: "plant-bridge"},
					Spec:       corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: size("2Gi")}},
					Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size("1Gi")},
				}
			}),
			map[string]string{
				"Ready": "True/Forwarding", "Stalled": "absent",
				"Reconciling": "True/Progressing the volume of PersistentVolumeClaim plant-bridge is being expanded from 1Gi to 2Gi",
			},
		},
		{
			"a claim that is kept and not wanted is not reported", observed(withUnboundClaim("", corev1.ClaimPending), func(o *observation) { o.bridge.Spec.Buffer = nil }),
			map[string]string{"Stalled": "absent", "Ready": "False/RunnerNotRunning runner pod plant-bridge-1 is not scheduled: " + noVolume},
		},
		{
			"a bridge whose buffer holds a backlog is not degraded", observed(withBacklogs(backlog(v1alpha1.BacklogDraining, ""), backlog(v1alpha1.BacklogBuffering, ""))),
			map[string]string{"Ready": "True/Forwarding", "Degraded": "False/ActiveOnPrimary"},
		},
		{
			"a full buffer degrades the bridge while the other side is down", observed(withBacklogs(backlog(v1alpha1.BacklogFull, "the buffer on disk is full"), backlog(v1alpha1.BacklogEmpty, "")), withSides(localUp(), remoteDown())),
			map[string]string{"Ready": "False/NotConnected", "Degraded": "True/BufferFull localToRemote: the buffer on disk is full"},
		},
		{
			"a failed buffer comes before a full one, and both before a backup", observed(
				withBacklogs(backlog(v1alpha1.BacklogFull, "no room"), backlog(v1alpha1.BacklogFailed, "cannot be written")), withSides(localUp(), remoteOnBackup())),
			map[string]string{"Ready": "True/Forwarding", "Degraded": "True/BufferFailed localToRemote: no room; remoteToLocal: cannot be written; the remote side is on backup-1"},
		},
		{
			"a server with a shortfall degrades the bridge", observed(withShortfalls(v1alpha1.ReasonQoSLowered)),
			map[string]string{"Ready": "True/Forwarding", "Degraded": "True/QoSLowered the local side, primary: QoSLowered of local; the remote side, primary: QoSLowered of remote"},
		},
		{
			"a backup comes before shortfalls, and all are named", observed(withSides(localUp(), remoteOnBackup()), withShortfalls(v1alpha1.ReasonQoSLowered, v1alpha1.ReasonSessionExpiryLowered)),
			map[string]string{"Degraded": "True/ActiveOnBackup the remote side is on backup-1 (mqtt://b:1883), not on its primary server; status.remote.servers shows the state of the primary server; the remote side cannot fail over to primary (mqtt://a:1883), which has failed: AuthenticationFailed: the user name or password is wrong; the local side, primary: QoSLowered of local; the local side, primary: SessionExpiryLowered of local; the remote side, backup-1: QoSLowered of remote"},
		},
		{
			"servers without a shortfall do not degrade the bridge", observed(withShortfalls()),
			map[string]string{"Degraded": "False/ActiveOnPrimary"},
		},
		{
			"shortfalls are ignored if the pod that reported them is gone", observed(withShortfalls(v1alpha1.ReasonQoSLowered), noPods),
			map[string]string{"Degraded": "Unknown/RunnerNotRunning"},
		},
		{
			"messages that no server accepts degrade the bridge", observed(unforwardable(unforwardableMessage("a/b", epoch), unforwardableMessage("c", epoch))),
			map[string]string{"Ready": "True/Forwarding", "Degraded": "True/MessagesUnforwardable localToRemote: no server accepts a message of 7 bytes to a/b: EndsSession: closed; it is dropped; " +
				"remoteToLocal: no server accepts a message of 7 bytes to c: EndsSession: closed; it is dropped"},
		},
		{
			"messages that no server accepts come before a backup, and both are named", observed(unforwardable(nil, unforwardableMessage("a", epoch)), withSides(localUp(), remoteOnBackup())),
			map[string]string{"Degraded": "True/MessagesUnforwardable remoteToLocal: no server accepts a message of 7 bytes to a: EndsSession: closed; it is dropped; the remote side is on backup-1"},
		},
		{
			"a full buffer comes before messages that no server accepts, and all are named", observed(
				unforwardable(unforwardableMessage("a", epoch), nil), withBacklogs(backlog(v1alpha1.BacklogFull, "no room"), nil), withSides(localUp(), remoteOnBackup())),
			map[string]string{"Degraded": "True/BufferFull localToRemote: no room; the remote side is on backup-1 (mqtt://b:1883), not on its primary server; status.remote.servers shows the state of the primary server; the remote side cannot fail over to primary (mqtt://a:1883), which has failed: AuthenticationFailed: the user name or password is wrong; localToRemote: no server accepts"},
		},
		{
			"messages that no server accepts degrade the bridge while a side is down", observed(unforwardable(unforwardableMessage("a", epoch), nil), withSides(localUp(), remoteDown())),
			map[string]string{"Ready": "False/NotConnected", "Degraded": "True/MessagesUnforwardable localToRemote: no server accepts"},
		},
		{
			"without such messages the bridge is not degraded", observed(unforwardable(nil, nil)),
			map[string]string{"Degraded": "False/ActiveOnPrimary"},
		},
		{
			"messages that no server accepts are ignored if the pod that reported them is gone", observed(unforwardable(unforwardableMessage("a", epoch), nil), noPods),
			map[string]string{"Degraded": "Unknown/RunnerNotRunning"},
		},
		{
			"the state of a buffer is ignored if the pod that reported it is gone", observed(withBacklogs(backlog(v1alpha1.BacklogFull, "no room"), nil), noPods),
			map[string]string{"Degraded": "Unknown/RunnerNotRunning"},
		},
		{
			"a failed standby server degrades the bridge, and the message gives the cause", observed(withSides(localUp(), remoteStandbyFailed(epoch))),
			map[string]string{
				"Ready":    "True/Forwarding",
				"Degraded": "True/StandbyFailed the remote side cannot fail over to backup-1 (mqtt://b:1883), which has failed: ConnectionRefused: nothing listens there",
			},
		},
		{
			"a suspended bridge whose runner drains is reconciling", observed(suspended),
			map[string]string{"Ready": "False/Draining", "RemoteConnected": "True/Connected", "Reconciling": "True/Progressing the runner waits for up to 10 seconds until the messages", "Suspended": "absent"},
		},
		{
			"a bridge whose Deployment is not scaled down yet is not draining", observed(suspended, func(o *observation) { o.deployment.Spec.Replicas = ptr.To[int32](1) }),
			map[string]string{"Ready": "True/Forwarding", "Reconciling": "True/Progressing Deployment plant-bridge", "Suspended": "absent"},
		},
		{
			"a suspended bridge without a runner matches its spec, and is neither Ready nor not Ready", observed(suspended, noPods),
			map[string]string{
				"Ready": "absent", "Suspended": "True/Suspended the bridge is suspended; set spec.suspend to false", "LocalConnected": "False/Suspended",
				"Degraded": "Unknown/Suspended", "Reconciling": "absent", "Stalled": "absent",
			},
		},
		{
			"a bridge with an invalid spec is suspended, too, and the message gives the error", observed(suspended, noPods, invalid),
			map[string]string{
				"Ready": "absent", "Suspended": "True/Suspended the bridge is suspended; set spec.suspend to false to resume it; InvalidSpec: spec.localToRemote: loops",
				"Stalled": "True/InvalidSpec",
			},
		},
		{
			"an evicted pod does not keep a suspended bridge reconciling", observed(suspended, unreported, func(o *observation) {
				o.pods[0].Status.Phase = corev1.PodFailed
			}),
			map[string]string{"Reconciling": "absent", "Suspended": "True/Suspended"},
		},
		{
			"a Deployment that is rolled out is reconciling", observed(func(o *observation) { o.deployment.Generation++ }),
			map[string]string{"Ready": "True/Forwarding", "Reconciling": "True/Progressing Deployment plant-bridge"},
		},
		{
			"a pass that changed children is reconciling", observed(func(o *observation) { o.wrote = true }),
			map[string]string{"Reconciling": "True/Progressing"},
		},
		{
			"an invalid spec stalls, and the running bridge stays Ready with its generation", observed(generation4, invalid),
			map[string]string{
				"Ready":   "True/Forwarding forwarding with generation 3 between primary (mqtt://local:1883) on the local side and primary (mqtt://a:1883) on the remote side; generation 4 is not in effect: InvalidSpec: spec.localToRemote: loops",
				"Stalled": "True/InvalidSpec spec.localToRemote: loops", "Reconciling": "absent",
			},
		},
		{
			"a new generation is reconciling until a runner reports it", observed(generation4),
			map[string]string{
				"Ready":       "True/Forwarding forwarding with generation 3 between primary (mqtt://local:1883) on the local side and primary (mqtt://a:1883) on the remote side; generation 4 is being applied",
				"Reconciling": "True/Progressing runner pod plant-bridge-1 runs generation 3, and applies generation 4 within seconds; if this takes longer than two minutes, check its log",
			},
		},
		{
			"a child that cannot be applied is reconciling, and Ready gives the cause", observed(generation4, func(o *observation) {
				o.failure = errors.New(`applying Deployment plant-bridge: failed calling webhook "policy"`)
			}),
			map[string]string{
				"Ready":       "True/Forwarding forwarding with generation 3 between primary (mqtt://local:1883) on the local side and primary (mqtt://a:1883) on the remote side; generation 4 is not in effect: ApplyFailed: applying Deployment",
				"Reconciling": `True/ApplyFailed applying Deployment plant-bridge: failed calling webhook "policy"; the operator tries again`, "Stalled": "absent",
			},
		},
		{
			"a child of an earlier bridge that is being deleted is awaited", observed(func(o *observation) { o.failure = waitError{errors.New("still being deleted")} }),
			map[string]string{"Reconciling": "True/Progressing still being deleted"},
		},
		{
			"a runner that stops is not Ready", observed(func(o *observation) { o.bridge.Status.ActiveRunner().StopTime = metav1.NewTime(epoch) }),
			map[string]string{"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 stops", "RemoteConnected": "True/Connected"},
		},
		{
			"a runner that has stopped is not connected", observed(withSides(nil, nil), func(o *observation) { o.bridge.Status.ActiveRunner().StopTime = metav1.NewTime(epoch) }),
			map[string]string{"Ready": "False/RunnerNotRunning", "RemoteConnected": "False/RunnerNotRunning runner pod plant-bridge-1 stops"},
		},
		{
			"whether a runner on a lost node forwards is not known", observed(onLostNode),
			map[string]string{"Ready": "Unknown/NodeLost the node of runner pod plant-bridge-1 does not answer", "Reconciling": "True/Progressing", "Stalled": "absent"},
		},
		{
			"it is also not known while the pod on the lost node is being deleted", observed(onLostNode, func(o *observation) {
				o.pods[0].DeletionTimestamp = ptr.To(metav1.NewTime(epoch))
			}),
			map[string]string{"Ready": "Unknown/NodeLost"},
		},
		{
			"a Deployment that exceeds its progress deadline stalls", observed(unreported, func(o *observation) {
				o.deployment.Status.Conditions = []appsv1.DeploymentCondition{{
					Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "has timed out progressing",
				}}
			}),
			map[string]string{
				"Stalled": "True/RolloutTimedOut Deployment plant-bridge makes no progress: has timed out progressing", "Reconciling": "absent",
				"Ready": "False/RunnerNotRunning runner pod plant-bridge-1 has not reported its state yet; if this does not end, check its log; RolloutTimedOut: Deployment",
			},
		},
		{
			"a pod that no node accepts for minutes stalls", observed(unreported, func(o *observation) {
				o.pods[0].Status = unscheduledStatus()
				o.pods[0].Status.Conditions[0].LastTransitionTime = metav1.NewTime(epoch.Add(-unschedulableTime))
			}),
			map[string]string{"Stalled": "True/Unschedulable runner pod plant-bridge-1 is not scheduled: 0/3 nodes", "Reconciling": "absent"},
		},
		{
			"a container that crashes is stalled while it runs again", observed(withRestarts(3, epoch.Add(-time.Minute))),
			map[string]string{"Stalled": "True/PodFailing container bridge-runner of runner pod plant-bridge-1: CrashLoopBackOff: exited with code 2 (Error): panic"},
		},
		{
			"a container that has run for a long time after crashes is not stalled", observed(withRestarts(3, epoch.Add(-stableTime))),
			map[string]string{"Stalled": "absent", "Ready": "True/Forwarding"},
		},
		{
			"a container that has ended once is not stalled", observed(withRestarts(1, epoch.Add(-time.Minute))),
			map[string]string{"Stalled": "absent"},
		},
		{
			"pods that the API server refuses stall", observed(noPods, func(o *observation) {
				o.deployment.Status.Conditions = []appsv1.DeploymentCondition{{
					Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "violates PodSecurity",
				}}
			}),
			map[string]string{
				"Stalled":         "True/ApplyFailed Deployment plant-bridge cannot create the runner pod: violates PodSecurity",
				"Reconciling":     "absent",
				"Ready":           "False/RunnerNotRunning Deployment plant-bridge cannot create the runner pod: violates PodSecurity",
				"LocalConnected":  "False/RunnerNotRunning Deployment plant-bridge cannot create the runner pod: violates PodSecurity",
				"RemoteConnected": "False/RunnerNotRunning Deployment plant-bridge cannot create the runner pod: violates PodSecurity",
				"Degraded":        "Unknown/RunnerNotRunning Deployment plant-bridge cannot create the runner pod: violates PodSecurity",
			},
		},
		{
			"an image that cannot be pulled stalls with the kubelet's message and the remedy", observed(unreported, withWaitingContainer("ImagePullBackOff", "no such image", nil)),
			map[string]string{
				"Stalled": "True/PodFailing container bridge-runner of runner pod plant-bridge-1: ImagePullBackOff: no such image; " +
					"check spec.runner.image or the operator's --runner-image, spec.runner.imagePullSecrets, and that the node reaches the registry",
				"Reconciling":    "absent",
				"Ready":          "False/RunnerNotRunning container bridge-runner of runner pod plant-bridge-1: ImagePullBackOff: no such image; check spec.runner.image",
				"LocalConnected": "False/RunnerNotRunning container bridge-runner of runner pod plant-bridge-1: ImagePullBackOff: no such image; check spec.runner.image",
			},
		},
		{
			"a container that crashes stalls with its last log lines", observed(unreported, withWaitingContainer("CrashLoopBackOff", "back-off 10s",
				&corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "bridge.yaml: no such file\n"})),
			map[string]string{"Stalled": "True/PodFailing container bridge-runner of runner pod plant-bridge-1: CrashLoopBackOff: exited with code 1 (Error): bridge.yaml: no such file"},
		},
		{
			"a container that is being created does not stall", observed(unreported, withWaitingContainer("ContainerCreating", "", nil)),
			map[string]string{"Stalled": "absent", "Reconciling": "True/Progressing"},
		},
	} {
		t.Run(tt.promise, func(t *testing.T) {
			conditions := derive(tt.given, epoch)
			assertConditions(t, conditions, tt.want)
			for _, c := range conditions {
				want := tt.given.bridge.Generation
				if c.Type != v1alpha1.ConditionReconciling && c.Type != v1alpha1.ConditionStalled && tt.given.runningGeneration() != 0 {
					want = tt.given.runningGeneration()
				}
				if c.ObservedGeneration != want && c.Type != v1alpha1.ConditionSuspended {
					t.Errorf("%s is of generation %d; want %d", c.Type, c.ObservedGeneration, want)
				}
			}
		})
	}
}

// assertConditions checks conditions, by type: each is "absent", or begins with "Status/Reason Message".
func assertConditions(t *testing.T, conditions []metav1.Condition, wanted map[string]string) {
	t.Helper()
	for conditionType, want := range wanted {
		c := meta.FindStatusCondition(conditions, conditionType)
		got := "absent"
		if c != nil {
			got = string(c.Status) + "/" + c.Reason + " " + c.Message
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q; want %q", conditionType, got, want)
		}
	}
}

func TestConditions_StatusUnchanged_KeepsTransitionTime(t *testing.T) {
	first := derive(observed(), epoch)
	later := epoch.Add(time.Minute)
	second := derive(observed(withSides(localUp(), remoteOnBackup()), func(o *observation) { o.bridge.Status.Conditions = first }), later)
	for conditionType, want := range map[string]time.Time{v1alpha1.ConditionReady: epoch, v1alpha1.ConditionDegraded: later} {
		if got := meta.FindStatusCondition(second, conditionType).LastTransitionTime; !got.Time.Equal(want) {
			t.Errorf("%s changed at %s; want %s", conditionType, got, want)
		}
	}
}

// withAnnounced adds the record of the events that were sent before.
func withAnnounced(change func(*announced)) func(*observation) {
	return func(o *observation) {
		var sent announced
		change(&sent)
		record, err := json.Marshal(sent)
		if err != nil {
			panic(err)
		}
		o.manifest = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationAnnounced: string(record)}}}
	}
}

func TestEvents_Observation_GivesEventsAndMarker(t *testing.T) {
	const downNote = "primary (mqtt://a:1883) failed: AuthenticationFailed: the user name or password is wrong; " +
		"backup-1 (mqtt://b:1883) failed: ConnectionRefused: nothing listens there"
	at := metav1.NewMicroTime(epoch)
	down := withAnnounced(func(a *announced) { a.RemoteDown = at })
	for _, tt := range []struct {
		promise string
		given   *observation
		events  []string // as "type reason note"
		marker  *announced
	}{
		{"a bridge that only forwards has no event", observed(), nil, nil},
		{
			"a failover to a backup is announced with both servers, the cause and the duration",
			observed(withSides(localUp(), withFailover(remoteOnBackup(), "primary", "backup-1", epoch))),
			[]string{"Warning FailedOver the remote side failed over from primary to backup-1: 42 ms without a server: ConnectionClosed"},
			&announced{RemoteSwitch: at},
		},
		{
			"a failover that was noticed late is announced with the silence of the lost server",
			observed(withSides(localUp(), withSilence(withFailover(remoteOnBackup(), "primary", "backup-1", epoch), 10_020))),
			[]string{"Warning FailedOver the remote side failed over from primary to backup-1: 10.0 s without acknowledgement, then 42 ms without a server: ConnectionClosed"},
			&announced{RemoteSwitch: at},
		},
		{
			"a standby server that fails is announced", observed(withSides(localUp(), remoteStandbyFailed(epoch.Add(time.Second)))),
			[]string{"Warning StandbyFailed the remote side cannot fail over to backup-1 (mqtt://b:1883), which has failed: ConnectionRefused: nothing listens there"},
			&announced{RemoteStandbys: []string{"backup-1"}},
		},
		{
			"a standby server that fails is announced once",
			observed(withSides(localUp(), remoteStandbyFailed(epoch)), withAnnounced(func(a *announced) { a.RemoteStandbys = []string{"backup-1"} })),
			nil, &announced{RemoteStandbys: []string{"backup-1"}},
		},
		{
			"a standby server that is available again is announced",
			observed(withAnnounced(func(a *announced) { a.RemoteStandbys = []string{"backup-1"} })),
			[]string{"Normal StandbyRecovered the remote side can fail over to backup-1 (mqtt://b:1883) again"},
			nil,
		},
		{
			"a failed standby server is not announced again after the runner was replaced",
			observed(withSides(localUp(), remoteStandbyFailed(epoch)), noPods, withAnnounced(func(a *announced) { a.RemoteStandbys = []string{"backup-1"} })),
			nil, &announced{RemoteStandbys: []string{"backup-1"}},
		},
		{
			"a server that fails after the bridge failed back from it is announced",
			observed(withSides(localUp(), withFailover(remoteStandbyFailed(epoch.Add(time.Minute)), "backup-1", "primary", epoch)),
				withAnnounced(func(a *announced) { a.RemoteSwitch = at })),
			[]string{"Warning StandbyFailed the remote side cannot fail over to backup-1 (mqtt://b:1883), which has failed: ConnectionRefused: nothing listens there"},
			&announced{RemoteSwitch: at, RemoteStandbys: []string{"backup-1"}},
		},
		{
			"a failover is announced once",
			observed(withSides(localUp(), withFailover(remoteOnBackup(), "primary", "backup-1", epoch)),
				withAnnounced(func(a *announced) { a.RemoteSwitch = at })),
			nil, &announced{RemoteSwitch: at},
		},
		{
			"a later change is announced again, and a change to a server of higher preference is a failback",
			observed(withSides(localUp(), withFailover(remoteOnPrimary(), "backup-1", "primary", epoch.Add(time.Second))),
				withAnnounced(func(a *announced) { a.RemoteSwitch = at })),
			[]string{"Normal FailedBack the remote side failed back from backup-1 to primary: 42 ms without a server: ConnectionClosed"},
			&announced{RemoteSwitch: metav1.NewMicroTime(epoch.Add(time.Second))},
		},
		{
			"a change to a server of higher preference that had proved stable is a failback",
			observed(withSides(localUp(), withReason(withFailover(remoteOnPrimary(), "backup-1", "primary", epoch), v1alpha1.ReasonFailedBack))),
			[]string{"Normal FailedBack the remote side failed back from backup-1 to primary: no messages were published for 42 ms"},
			&announced{RemoteSwitch: at},
		},
		{
			"a requested switch is announced as such, to any server",
			observed(withSides(localUp(), withReason(withFailover(remoteOnPrimary(), "backup-1", "primary", epoch), v1alpha1.ReasonSwitchRequested))),
			[]string{"Normal Switched the remote side was switched from backup-1 to its preferredServer primary: no messages were published for 42 ms"},
			&announced{RemoteSwitch: at},
		},
		{
			"a switch from a server that the spec no longer lists is announced as such",
			observed(withSides(localUp(), withReason(withFailover(remoteOnPrimary(), "old", "primary", epoch), v1alpha1.ReasonServerRemoved))),
			[]string{"Normal Switched the remote side was switched from old, which the spec no longer lists, to primary: no messages were published for 42 ms"},
			&announced{RemoteSwitch: at},
		},
		{
			"a switch to the changed URL of a server is announced without two servers",
			observed(withSides(localUp(), withReason(withFailover(remoteOnPrimary(), "primary", "primary", epoch), v1alpha1.ReasonServerRemoved))),
			[]string{"Normal Switched the remote side was switched to the changed URL of primary: no messages were published for 42 ms"},
			&announced{RemoteSwitch: at},
		},
		{
			"a refused request is announced with the server and the cause of the refusal",
			observed(withSides(localUp(), withRequestedSwitch(remoteOnPrimary(), v1alpha1.SwitchRefused))),
			[]string{`Warning SwitchRefused the remote side does not switch to its preferredServer "backup-1": it fails its probe`},
			&announced{RemoteRequest: at},
		},
		{
			"a refused request is announced once",
			observed(withSides(localUp(), withRequestedSwitch(remoteOnPrimary(), v1alpha1.SwitchRefused)),
				withAnnounced(func(a *announced) { a.RemoteRequest = at })),
			nil, &announced{RemoteRequest: at},
		},
		{
			"a request that is done has no event of its own",
			observed(withSides(localUp(), withRequestedSwitch(remoteOnPrimary(), v1alpha1.SwitchDone))), nil, nil,
		},
		{
			"a message that no server accepts is announced with its topic, size and reason",
			observed(unforwardable(unforwardableMessage("a/b", epoch), nil)),
			[]string{"Warning MessageUnforwardable localToRemote: no server accepts a message of 7 bytes to a/b: EndsSession: closed; it is dropped"},
			&announced{LocalToRemoteMessage: at},
		},
		{
			"a message that no server accepts is announced once, and a later one again",
			observed(unforwardable(unforwardableMessage("a", epoch), unforwardableMessage("b", epoch.Add(time.Second))), withAnnounced(func(a *announced) {
				a.LocalToRemoteMessage, a.RemoteToLocalMessage = at, at
			})),
			[]string{"Warning MessageUnforwardable remoteToLocal: no server accepts a message of 7 bytes to b: EndsSession: closed; it is dropped"},
			&announced{LocalToRemoteMessage: at, RemoteToLocalMessage: metav1.NewMicroTime(epoch.Add(time.Second))},
		},
		{
			"the end of such messages is not announced", observed(withAnnounced(func(a *announced) { a.LocalToRemoteMessage = at })), nil,
			&announced{LocalToRemoteMessage: at},
		},
		{
			"the sides are distinguished",
			observed(withSides(withFailover(localUp(), "gone", "primary", epoch), remoteOnPrimary())),
			[]string{"Warning FailedOver the local side failed over from gone to primary: 42 ms without a server: ConnectionClosed"},
			&announced{LocalSwitch: at},
		},
		{
			"an outage is announced when every server has failed",
			observed(withSides(localUp(), remoteDown())),
			[]string{"Warning AllServersDown every server of the remote side is down: " + downNote},
			&announced{RemoteDown: metav1.NewMicroTime(epoch.Add(1500 * time.Millisecond))},
		},
		{"an outage is announced once", observed(withSides(localUp(), remoteDown()), down), nil, &announced{RemoteDown: at}},
		{
			"while the next server is being tried there is no outage",
			observed(withSides(localUp(), side(
				serverStatus("primary", primaryURL, v1alpha1.ServerFailed, v1alpha1.ReasonConnectionClosed, "closed"),
				serverStatus("backup-1", backupURL, v1alpha1.ServerStandby)))),
			nil, nil,
		},
		{
			"the end of an outage is announced with its duration", observed(down),
			[]string{"Normal Recovered the remote side is connected again after 1.5s: primary (mqtt://a:1883)"},
			nil,
		},
		{"an outage continues while the runner is replaced", observed(down, noPods), nil, &announced{RemoteDown: at}},
		{"a suspended bridge has no outage", observed(withSides(localUp(), remoteDown()), down, suspended), nil, nil},
		{
			"the report of a pod that is gone has no event",
			observed(withSides(localUp(), withFailover(remoteOnBackup(), "primary", "backup-1", epoch)), noPods), nil, nil,
		},
	} {
		t.Run(tt.promise, func(t *testing.T) {
			marker, due, held := announce(tt.given, sentEvents(t.Context(), tt.given), epoch.Add(1500*time.Millisecond))
			if held != 0 {
				t.Errorf("an event is held for %s", held)
			}
			// budget_test.go, announcer_test.go and switchrecord_test.go test these.
			marker.BudgetFullAt, marker.LocalSwitches, marker.RemoteSwitches = metav1.MicroTime{}, nil, nil
			marker.LocalSwitchPod, marker.RemoteSwitchPod = "", ""
			marker.LocalDownCauses, marker.RemoteDownCauses = outageCauses{}, outageCauses{} // outage_test.go
			var got []string
			for _, e := range due {
				got = append(got, e.eventType+" "+e.reason+" "+e.note)
			}
			if !slices.Equal(got, tt.events) {
				t.Errorf("events %q; want %q", got, tt.events)
			}
			if want := ptr.Deref(tt.marker, announced{}); !equality.Semantic.DeepEqual(marker, want) {
				t.Errorf("marker %+v; want %+v", marker, want)
			}
		})
	}
}

func TestNote_TooLong_IsCutAtACharacter(t *testing.T) {
	if got := note("%s", strings.Repeat("a", 2000)); len(got) != maxNote || !strings.HasSuffix(got, "...") {
		t.Errorf("a note of %d bytes that ends in %q", len(got), got[len(got)-3:])
	}
	for shift := range 4 {
		if got := note("%s", strings.Repeat("a", shift)+strings.Repeat("\U0001F4A1", 300)); len(got) > maxNote || !utf8.ValidString(got) {
			t.Errorf("a note of %d bytes, cut within a character", len(got))
		}
	}
}

// The API server refuses a status with a longer message, so that Ready would stay as it was.
func TestConditions_LongMessages_AreWithinTheSchema(t *testing.T) {
	down := func() *v1alpha1.SideStatus {
		s := side(serverStatus("primary", primaryURL, v1alpha1.ServerActive))
		for i := range 15 {
			name := fmt.Sprintf("%d-%s", i, strings.Repeat("n", 250))
			s.Servers = append(s.Servers, serverStatus(name, "mqtt://"+name+":1883/", v1alpha1.ServerFailed, v1alpha1.ReasonConnectionRefused, strings.Repeat("\u00e9", 512)))
		}
		return s
	}
	failure := &stallError{v1alpha1.ReasonInvalidSpec, errors.New(strings.Repeat("spec.localToRemote: no; ", 4000))}
	for name, o := range map[string]*observation{
		"many failed servers": observed(withSides(down(), down())),
		"many errors":         observed(func(o *observation) { o.stall, o.failure = failure, failure }),
		"a long refusal":      observed(func(o *observation) { o.failure = errors.New(strings.Repeat("denied the request; ", 4000)) }),
	} {
		for _, c := range derive(o, epoch) {
			if n := len(c.Message); n > 32768 || !utf8.ValidString(c.Message) {
				t.Errorf("%s: the message of %s has %d bytes", name, c.Type, n)
			}
		}
	}
}
