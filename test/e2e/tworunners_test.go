// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// pairRate is the rate of messages through two runners, per second.
	pairRate = 500
	// handOverGap and killGap are longer than a planned hand-over and a takeover after a killed process,
	// as a client sees them on a node that also starts and ends pods of other tests on the same
	// processors: 50 ms to 750 ms. maxRecordedGap is the limit for the runner's own record.
	handOverGap    = 2 * time.Second
	killGap        = 3 * time.Second
	maxRecordedGap = 500
)

// newPair returns the world of a bridge with two runners and a stream through it.
func newPair(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.bridge.Spec.Replicas = ptr.To[int32](2)
	w.ready()
	w.warm()
	var err error
	w.collector, err = traffic.StartCollector(t.Context(), traffic.CollectorConfig{
		Sources: []traffic.Source{w.primary.Source(), w.backup.Source()}, ClientID: "collector", Filter: "up/#",
	}, eventTimeout)
	must(t, err)
	t.Cleanup(w.collector.Close)
	w.publisher = traffic.StartPublisher(t.Context(), traffic.PublisherConfig{Dial: w.local.Dial, ClientID: "publisher", Topic: "up/x", QoS: 1, Rate: pairRate, Size: 128})
	t.Cleanup(w.publisher.Close)
	w.flow(pairRate)
	return w
}

// warm waits until the bridge has an active runner and a warm standby, and returns their pods.
func (w *world) warm() (active, standby string) {
	w.t.Helper()
	w.eventually(eventTimeout, func() error {
		active, standby = "", ""
		runners := w.get().Status.Runners
		for i := range runners {
			switch r := &runners[i]; {
			case r.Role == v1alpha1.RunnerActive:
				active = r.Pod
			case r.Role == v1alpha1.RunnerStandby && ptr.Deref(r.Warm, false):
				standby = r.Pod
			}
		}
		if active == "" || standby == "" {
			return fmt.Errorf("the runners are %+v, want an active one and a warm standby", runners)
		}
		return nil
	})
	return active, standby
}

// disruptionPermitted waits until the PodDisruptionBudget of the bridge permits exactly one eviction.
func (w *world) disruptionPermitted() {
	w.t.Helper()
	w.eventually(eventTimeout, func() error {
		budget, err := shared.Client.PolicyV1().PodDisruptionBudgets(w.namespace).Get(w.t.Context(), bridgeName+"-bridge", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if s := &budget.Status; s.ObservedGeneration < budget.Generation || s.DisruptionsAllowed != 1 {
			return fmt.Errorf("the status of the budget is %+v, want one permitted eviction", s)
		}
		return nil
	})
}

// takeover waits for a change of the active runner away from a pod.
func (w *world) takeover(from string) *v1alpha1.TakeoverRecord {
	w.t.Helper()
	var t *v1alpha1.TakeoverRecord
	w.eventually(eventTimeout, func() error {
		s := w.get().Status
		t = s.LastTakeover
		if active := s.ActiveRunner(); t == nil || active == nil || active.Pod == from {
			return fmt.Errorf("the active runner is %+v, and the latest change %+v", active, t)
		}
		return nil
	})
	if gap := ptr.Deref(t.GapMilliseconds, 0); gap > maxRecordedGap {
		w.t.Errorf("no runner forwarded for %d ms, want at most %d ms", gap, maxRecordedGap)
	}
	return t
}

// finishWithin ends the stream, and fails the test if a message is lost or out of order, more than
// doubled messages arrived twice, or no message arrived for longer than a gap.
func (w *world) finishWithin(gap time.Duration, doubled int) {
	w.t.Helper()
	w.flow(pairRate)
	w.finish()
	report := traffic.Compare(w.publisher.Ledger(), w.collector.Arrivals())
	if report.Duplicates > doubled {
		w.t.Errorf("%d messages arrived twice, want at most %d", report.Duplicates, doubled)
	}
	arrivals := w.collector.Arrivals()
	longest := traffic.Gap(arrivals[0].Time, time.Now(), arrivals)
	w.t.Logf("the longest time without an arrival is %s", longest)
	if longest > gap {
		w.t.Errorf("no message arrived for %s, want at most %s", longest, gap)
	}
}

func TestTwoRunners_ActivePodDeleted_HandsOver(t *testing.T) {
	w := newPair(t)
	active, standby := w.warm()
	columns := strings.Fields(w.kubectl("get", "mqb", bridgeName, "-o", "wide", "--no-headers"))
	for _, pod := range []string{active, standby} {
		if !slices.Contains(columns, pod) {
			t.Errorf("the columns %q do not contain pod %s", columns, pod)
		}
	}
	w.kubectl("delete", "pod", active, "--wait=false")
	record := w.takeover(active)
	if record.Reason != v1alpha1.TakeoverHandedOver || record.From != active || record.To != standby {
		t.Errorf("the change is %+v, want a hand-over from %s to %s", record, active, standby)
	}
	t.Log(w.event(v1alpha1.EventRunnerHandover))
	w.warm()
	w.finishWithin(handOverGap, 0)
}

func TestTwoRunners_ActiveProcessKilled_IsTakenOver(t *testing.T) {
	if !shared.Local {
		t.Skip("only processes of the local cluster can be killed: the image of the runner has no shell")
	}
	w := newPair(t)
	active, standby := w.warm()
	pod, err := shared.Client.CoreV1().Pods(w.namespace).Get(t.Context(), active, metav1.GetOptions{})
	must(t, err)
	must(t, shared.KillContainer(pod, "bridge-runner"))
	record := w.takeover(active)
	if record.Reason != v1alpha1.TakeoverPeerEnded || record.From != active || record.To != standby {
		t.Errorf("the change is %+v, want the takeover of %s by %s, because the process has ended", record, active, standby)
	}
	t.Log(w.event(v1alpha1.EventRunnerTakeover))
	if now, other := w.warm(); now != standby || other != active {
		t.Errorf("the runners are %s and %s, want %s and, in the same pod as before, %s", now, other, standby, active)
	}
	w.finishWithin(killGap, pairRate)
}

func TestTwoRunners_Evicted_OneAtATime(t *testing.T) {
	w := newPair(t)
	active, standby := w.warm()
	w.disruptionPermitted()
	evict := func(pod string) error {
		return shared.Client.CoreV1().Pods(w.namespace).EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: w.namespace}})
	}
	must(t, evict(active))
	if err := evict(standby); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the second eviction ends with %v, want the budget to refuse it", err)
	}
	if record := w.takeover(active); record.Reason != v1alpha1.TakeoverHandedOver {
		t.Errorf("the change is %+v, want a hand-over", record)
	}
	w.warm()
	w.finishWithin(handOverGap, 0)
}

func TestTwoRunners_RolloutRestart_HandsOverOnce(t *testing.T) {
	w := newPair(t)
	active, standby := w.warm()
	w.eventually(eventTimeout, func() error {
		pod, err := shared.Client.CoreV1().Pods(w.namespace).Get(t.Context(), active, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Annotations[corev1.PodDeletionCost] == "" {
			return fmt.Errorf("the active pod has the annotations %v, want a cost of its deletion", pod.Annotations)
		}
		return nil
	})
	deployment := "deployment/" + bridgeName + "-bridge"
	w.kubectl("rollout", "restart", deployment)
	w.kubectl("rollout", "status", deployment, "--timeout=120s")
	record := w.takeover(active)
	if record.From != active || record.To == standby {
		t.Errorf("the latest change is %+v, want one from %s to a new pod", record, active)
	}
	now, other := w.warm()
	if slices.Contains([]string{active, standby}, now) || slices.Contains([]string{active, standby}, other) {
		t.Errorf("the runners are %s and %s, want new pods", now, other)
	}
	w.finishWithin(handOverGap, 0)
}

func TestTwoRunners_HandOverByHand_OncePerValue(t *testing.T) {
	w := newPair(t)
	active, standby := w.warm()
	for _, request := range []string{"first", "second"} {
		w.kubectl("annotate", "mqb", bridgeName, "--overwrite", manifest.AnnotationHandOver+"="+request)
		if record := w.takeover(active); record.Reason != v1alpha1.TakeoverHandedOver || record.To != standby {
			t.Errorf("%s: the change is %+v, want a hand-over to %s", request, record, standby)
		}
		active, standby = w.warm()
	}
	w.finishWithin(handOverGap, 0)
}

func TestTwoRunners_ReplicasChanged_NoRunnerWithoutAGroupBesideMembers(t *testing.T) {
	w := newWorld(t)
	w.ready()
	w.stream()
	for _, n := range []int32{2, 1} {
		before := w.pods()
		w.bridge.Spec.Replicas = &n
		w.apply()
		w.eventually(eventTimeout, func() error {
			pods := w.pods()
			old := slices.DeleteFunc(slices.Clone(pods), func(p string) bool { return !slices.Contains(before, p) })
			if len(old) > 0 && len(pods) > len(old) {
				t.Fatalf("the pods %v run beside the pods %v of the earlier template", pods, old)
			}
			if len(old) > 0 || len(pods) != int(n) {
				return fmt.Errorf("the pods are %v, want %d new ones", pods, n)
			}
			return nil
		})
		w.kubectl("wait", "mqttbridge/"+bridgeName, "--for=condition=Ready", "--timeout=60s")
		if n == 2 {
			w.warm()
		}
		w.flow(200)
	}
	if left := w.kubectl("get", "leases,pdb", "-l", "app.kubernetes.io/instance="+bridgeName, "-o", "name"); left != "" {
		t.Errorf("objects of two runners remain: %s", left)
	}
	w.finish()
}

// pods returns the names of the runner pods that have not ended.
func (w *world) pods() []string {
	w.t.Helper()
	list, err := shared.Client.CoreV1().Pods(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + bridgeName})
	must(w.t, err)
	var names []string
	for i := range list.Items {
		if phase := list.Items[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			names = append(names, list.Items[i].Name)
		}
	}
	return names
}

func TestTwoRunners_WithADisk_AreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	_, err := shared.Kubectl(t.Context(), "-n", w.namespace, "patch", "mqb", bridgeName, "--type=merge",
		"-p", `{"spec":{"replicas":2,"buffer":{"disk":{"size":"64Mi"}}}}`)
	if err == nil || !strings.Contains(err.Error(), "two runners cannot share a buffer on disk") {
		t.Errorf("kubectl reports %v, want a refusal with the remedy", err)
	}
}
