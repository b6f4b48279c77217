// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// maxRecordedGap is the limit in milliseconds of the gap that the runner records. make takeovers measures
// the gaps at the clients.
const maxRecordedGap = 500

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

// The test changes the active runner in every planned way, and at last, on the local cluster, kills it.
func TestTwoRunners_ActiveRunnerChanges_IsReportedAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.bridge.Spec.Replicas = ptr.To[int32](2)
	w.ready()
	active, standby := w.warm()
	w.stream()
	columns := strings.Fields(w.kubectl("get", "mqb", bridgeName, "-o", "wide", "--no-headers"))
	for _, pod := range []string{active, standby} {
		if !slices.Contains(columns, pod) {
			t.Errorf("the columns %q do not contain pod %s", columns, pod)
		}
	}
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

	check := func(what, reason string) {
		t.Helper()
		if record := w.takeover(active); record.Reason != reason || record.From != active || record.To != standby {
			t.Errorf("%s: the change is %+v, want %s from %s to %s", what, record, reason, active, standby)
		}
		active, standby = w.warm()
	}
	w.kubectl("delete", "pod", active, "--wait=false")
	check("pod deleted", v1alpha1.TakeoverHandedOver)
	t.Log(w.event(v1alpha1.EventRunnerHandover))

	w.disruptionPermitted()
	must(t, w.evict(active))
	if err := w.evict(standby); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the second eviction ends with %v, want the budget to refuse it", err)
	}
	check("pod evicted", v1alpha1.TakeoverHandedOver)

	for _, request := range []string{"first", "second"} {
		w.kubectl("annotate", "mqb", bridgeName, "--overwrite", manifest.AnnotationHandOver+"="+request)
		check(request, v1alpha1.TakeoverHandedOver)
	}

	if shared.Local { // only its containers are processes of this machine
		pod, err := shared.Client.CoreV1().Pods(w.namespace).Get(t.Context(), active, metav1.GetOptions{})
		must(t, err)
		must(t, shared.SignalPod(pod, cluster.RunnerProgram, syscall.SIGKILL))
		killed := active
		check("process killed", v1alpha1.TakeoverPeerEnded)
		if standby != killed {
			t.Errorf("the standby is %s, want pod %s again", standby, killed)
		}
		t.Log(w.event(v1alpha1.EventRunnerTakeover))
	}
	w.flow(200)
	w.finish()
}

func (w *world) evict(pod string) error {
	return shared.Client.CoreV1().Pods(w.namespace).EvictV1(w.t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: w.namespace}})
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
