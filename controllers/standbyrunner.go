// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// noStandbyTime is the time for which a bridge with two runners has no warm standby until it is
// Degraded. A new pod needs a few seconds, and longer if its image is pulled.
const noStandbyTime = time.Minute

// handOverTime is the time after the deletion of the active pod for which the bridge stays Ready if it
// has a warm standby. A hand-over takes milliseconds. A runner that needs longer waits up to 10 seconds
// for the acknowledgements of the messages that it holds, and accepts no others.
const handOverTime = 2 * time.Second

// deletedFor returns the time since the deletion of a pod was requested. Its deletionTimestamp is the end
// of its grace period.
func deletedFor(p *corev1.Pod, now time.Time) time.Duration {
	grace := time.Duration(ptr.Deref(p.DeletionGracePeriodSeconds, 0)) * time.Second
	return now.Sub(p.DeletionTimestamp.Add(-grace))
}

// activeDrains returns the value of drains.
func (o *observation) activeDrains(now time.Time) bool {
	p := o.reportingPod()
	return p != nil && !p.DeletionTimestamp.IsZero() && deletedFor(p, now) >= handOverTime
}

// warmStandby returns the pod of a standby that can take over at once, or nil if there is none.
func (o *observation) warmStandby() *corev1.Pod {
	for i := range o.bridge.Status.Runners {
		r := &o.bridge.Status.Runners[i]
		if r.Role != v1alpha1.RunnerStandby || !ptr.Deref(r.Warm, false) {
			continue
		}
		if p := o.podNamed(r.Pod); p != nil && p.DeletionTimestamp.IsZero() && podAlive(*p) && !nodeLost(p) {
			return p
		}
	}
	return nil
}

// activeServes reports whether the bridge has two runners, no roll-out replaces them, and the active
// one serves. A problem of another pod then only concerns the standby.
func (o *observation) activeServes() bool {
	p := o.reportingPod()
	return p != nil && o.bridge.Spec.HasStandby() && !rollsOut(o.deployment) && !nodeLost(p) && reporterTrouble(o) == ""
}

// lacksStandby reports whether a bridge with two runners has no warm standby. Without an active
// runner, the bridge has a larger problem.
func (o *observation) lacksStandby() bool {
	return o.bridge.Spec.HasStandby() && !o.suspended() && !o.deleting() && o.reportingPod() != nil && o.warmStandby() == nil
}

// standbyTrouble returns why the bridge has had no warm standby for noStandbyTime, and nil if it has
// one.
func standbyTrouble(o *observation, now time.Time) []string {
	if !o.lacksStandby() || now.Sub(o.noStandbySince) < noStandbyTime {
		return nil
	}
	return []string{fmt.Sprintf(msgNoStandby, standbyCause(o, now))}
}

// standbyCause returns the problem of the newest pod that is neither active nor being deleted.
func standbyCause(o *observation, now time.Time) string {
	active := o.bridge.Status.ActiveRunner().Pod
	var pod *corev1.Pod
	for i := range o.pods {
		p := &o.pods[i]
		if p.Name != active && p.DeletionTimestamp.IsZero() && (pod == nil || pod.CreationTimestamp.Before(&p.CreationTimestamp)) {
			pod = p
		}
	}
	switch {
	case pod == nil:
		return cmp.Or(podsRefused(o.deployment), fmt.Sprintf(msgStandbyNoPod, childName(o.bridge.Name)))
	case nodeLost(pod):
		return fmt.Sprintf(msgStandbyNodeLost, pod.Name)
	}
	return cmp.Or(unscheduled(o, pod), podFailure([]corev1.Pod{*pod}, now), podTrouble(pod),
		fmt.Sprintf(msgStandbyNotWarm, pod.Name, active, v1alpha1.PeerPort))
}

// standbyBook remembers since when bridges have had no warm standby. A bridge with a standby, and a
// bridge with one runner, have no entry.
type standbyBook struct {
	mu    sync.Mutex // guards since
	since map[client.ObjectKey]time.Time
}

// missingSince returns since when the bridge has had no warm standby, and a zero time if it has one.
// An operator that starts continues a condition that its predecessor has set.
func (k *standbyBook) missingSince(o *observation, now time.Time) time.Time {
	key := client.ObjectKeyFromObject(o.bridge)
	if !o.lacksStandby() {
		k.forget(key)
		return time.Time{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	since, ok := k.since[key]
	if !ok {
		if since = now; reportsNoStandby(o.bridge) {
			since = now.Add(-noStandbyTime)
		}
		if k.since == nil {
			k.since = map[client.ObjectKey]time.Time{}
		}
		k.since[key] = since
	}
	return since
}

func (k *standbyBook) forget(bridge client.ObjectKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.since, bridge)
}

// reportsNoStandby reports whether the condition Degraded names the missing standby.
func reportsNoStandby(b *v1alpha1.MQTTBridge) bool {
	text, _, _ := strings.Cut(msgNoStandby, "%")
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionDegraded)
	return c != nil && strings.Contains(c.Message, text)
}
