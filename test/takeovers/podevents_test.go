// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package takeovers

import (
	"context"
	"fmt"
	"syscall"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	bridgemanifest "github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// Each event ends when the bridge has an active pod and a warm standby again, so that its gap includes
// the start of new pods and processes. Events that must not change a role check this.

func (w *podWorld) signal(pod *corev1.Pod, signal syscall.Signal) {
	w.Helper()
	must(w, w.site.node.SignalPod(pod, cluster.RunnerProgram, signal))
}

func (w *podWorld) killActive(*world) {
	w.Helper()
	w.kill()
	w.waitKilled()
}

// kill kills the active process, and waits until the standby is active.
func (w *podWorld) kill() {
	w.Helper()
	w.signal(w.activePod, syscall.SIGKILL)
	w.waitTakenOver()
}

// waitKilled waits until the killed process has been replaced.
func (w *podWorld) waitKilled() {
	w.Helper()
	w.waitChanged(v1alpha1.TakeoverPeerEnded)
}

// waitChanged waits until the pod that has taken over has a warm standby. It checks that the pod became
// active for this reason, and that no other change followed.
func (w *podWorld) waitChanged(reason string) {
	w.Helper()
	to, before := w.activePod, w.activations
	w.waitRoles()
	now, other := w.activations[to.Name], w.activations[w.standbyPod.Name]
	// A new process of the standby has never been active.
	if w.activePod.UID != to.UID || now != before[to.Name]+1 || other != 0 && other != before[w.standbyPod.Name] {
		w.Errorf("pod %s is active, and the pods became active %v times; want %s, once more than %v", w.activePod.Name, w.activations, to.Name, before)
	}
	w.checkRecord(reason)
}

func (w *podWorld) deleteActive(*world) {
	w.Helper()
	must(w, w.site.node.api.Delete(w.site.Context(), w.activePod.DeepCopy()))
	w.waitTakenOver()
	w.waitChanged(v1alpha1.TakeoverHandedOver)
}

func (w *podWorld) evictActive(*world) {
	w.Helper()
	pods := w.site.node.Client.CoreV1().Pods(w.site.namespace)
	mqtttest.Eventually(w, podTimeout, "the PodDisruptionBudget permits the eviction", func() error {
		err := pods.EvictV1(w.site.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: w.activePod.Name}})
		if err != nil {
			time.Sleep(podPoll)
		}
		return err
	})
	w.waitTakenOver()
	w.waitChanged(v1alpha1.TakeoverHandedOver)
}

// restartDeployment replaces both pods, as kubectl rollout restart does.
func (w *podWorld) restartDeployment(*world) {
	w.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.site.namespace, Name: w.manifest.Name + "-bridge"}}
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	must(w, w.site.node.api.Patch(w.site.Context(), d, client.RawPatch("application/merge-patch+json", patch)))
	w.waitReplaced()
}

// waitReplaced waits until both pods have been replaced, and checks that there was one hand-over, to a
// new pod: the standby was replaced first.
func (w *podWorld) waitReplaced() {
	w.Helper()
	old := []*corev1.Pod{w.activePod, w.standbyPod}
	mqtttest.Eventually(w, podTimeout, "both pods have been replaced", func() error {
		w.waitRoles()
		for _, pod := range old {
			if w.activePod.UID == pod.UID || w.standbyPod.UID == pod.UID {
				time.Sleep(podPoll)
				return fmt.Errorf("pod %s runs", pod.Name)
			}
		}
		return nil
	})
	w.from = old[0]
	if n := w.activations[w.activePod.Name] + w.activations[w.standbyPod.Name]; n != 1 {
		w.Errorf("the new pods became active %v times, want one hand-over", w.activations)
	}
	w.checkRecord(v1alpha1.TakeoverHandedOver)
}

func (w *podWorld) annotate(*world) {
	w.Helper()
	w.names++
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"hand-over-%d"}}}`, bridgemanifest.AnnotationHandOver, w.names)
	must(w, w.site.node.api.Patch(w.site.Context(), w.manifest.DeepCopy(), client.RawPatch("application/merge-patch+json", patch)))
	w.waitTakenOver()
	w.waitChanged(v1alpha1.TakeoverHandedOver)
}

func (w *podWorld) killStandby(*world) {
	w.Helper()
	w.signal(w.standbyPod, syscall.SIGKILL)
	// The active pod may not have noticed the end yet.
	mqtttest.Eventually(w, podTimeout, "the killed process has ended", func() error {
		if _, err := w.member(w.standbyPod); err == nil {
			return fmt.Errorf("pod %s answers", w.standbyPod.Name)
		}
		return nil
	})
	w.checkRoles()
}

// begin begins a cut, which ends with heal or with the test.
func (w *podWorld) begin(c cluster.Cut) {
	w.Helper()
	w.Cleanup(func() { must(w, cluster.Heal(context.WithoutCancel(w.site.Context()))) })
	must(w, c.Begin(w.site.Context()))
}

func (w *podWorld) cutMembers(*world) {
	w.Helper()
	w.begin(cluster.CutMembers(w.activePod, w.standbyPod))
	time.Sleep(peerSilence) // no event can be awaited: the test shows that nothing happens
	must(w, cluster.Heal(w.site.Context()))
	w.checkRoles()
}

func (w *podWorld) freezeActive(*world) {
	w.Helper()
	frozen := w.activePod
	w.Cleanup(func() { _ = w.site.node.SignalPod(frozen, cluster.RunnerProgram, syscall.SIGCONT) }) // it may have ended
	w.signal(frozen, syscall.SIGSTOP)
	w.waitTakenOver()
}

// thawStandby continues the frozen process, and checks that it sends nothing in its earlier sessions.
func (w *podWorld) thawStandby(*world) {
	w.Helper()
	for _, r := range w.site.recorders {
		r.Record()
	}
	w.signal(w.standbyPod, syscall.SIGCONT)
	w.waitChanged(v1alpha1.TakeoverLeaseExpired)
	w.checkSilent(w.site.recorders, w.standbyPod.Status.PodIP)
}

func (w *podWorld) cutActive(*world) {
	w.Helper()
	w.begin(cluster.CutPod(w.activePod))
	w.waitTakenOver()
}

// heal ends the cut of the pod that was active.
func (w *podWorld) heal(*world) {
	w.Helper()
	must(w, cluster.Heal(w.site.Context()))
	w.waitChanged(v1alpha1.TakeoverLeaseExpired)
}

// cutAPIServer cuts the active pod off from the API server until the standby has taken over.
func (w *podWorld) cutAPIServer(*world) {
	w.Helper()
	w.begin(cluster.CutAPIServer(w.activePod))
	w.waitTakenOver()
	must(w, cluster.Heal(w.site.Context()))
	w.waitChanged(v1alpha1.TakeoverHandedOver)
}
