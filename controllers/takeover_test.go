// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/klog/v2/textlogger"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// denyMarks makes the API server refuse the cost of the deletion of pods in the bridge's namespace.
func denyMarks(t *testing.T, b *v1alpha1.MQTTBridge, pod *corev1.Pod) {
	t.Helper()
	const message = "costs are not permitted"
	permitOnly(t, b, "", "pods/status", "!has(object.metadata.annotations) || !('"+corev1.PodDeletionCost+"' in object.metadata.annotations)", message)
	mark := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+corev1.PodDeletionCost+`":"1"}}}`))
	apiserver.Eventually(t, "the policy takes effect", func(ctx context.Context) (bool, error) {
		err := server.Client.Status().Patch(ctx, pod.DeepCopy(), mark, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), message), nil
	})
}

func TestMarkActive_Refused_IsLoggedOncePerChangeAndFailsNoPass(t *testing.T) {
	b := twoRunners(namespace(t))
	b.Spec.ClassName = "review"
	create(t, b)
	operatorOf("review", testRunnerImage).passUntil(t, b, "a reconciled bridge", wasObserved(b))
	pod := runnerPod(b, testPod)
	createPod(t, pod)
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	denyMarks(t, b, pod)

	var text strings.Builder
	ctx := log.IntoContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&text))))
	r := operatorOf("review", testRunnerImage)
	passes := func(active, standby string, logged int) {
		t.Helper()
		reportPair(t, b, active, standby, true, nil) //nolint:contextcheck // it uses the test's context
		for range 3 {
			apiserver.Eventually(t, "a current cache", func(ctx context.Context) (bool, error) { return cacheIsCurrent(ctx, b) }) //nolint:contextcheck // it uses the test's context
			if _, err := r.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
				t.Fatalf("the refused annotation fails the pass: %v", err)
			}
		}
		if got := strings.Count(text.String(), "the API server refuses the annotation about the active runner"); got != logged {
			t.Errorf("after the reports of %s, the refusal is logged %d times, want %d:\n%s", active, got, logged, text.String())
		}
	}
	passes(testPod, standbyPod, 1)
	passes(standbyPod, testPod, 2)
	if got := costs(t, b); got[testPod] != "" || got[standbyPod] != "" {
		t.Errorf("the costs of the deletion are %v, although the API server refuses them", got)
	}
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	r.forget(client.ObjectKeyFromObject(b))
	if len(r.marks.logged) > 0 {
		t.Errorf("the operator remembers %v of a bridge that it does not reconcile any more", r.marks.logged)
	}
}

// marker is a client whose API server answers each attempt to mark a pod with the next of these errors. It
// forwards everything else to the client, if there is one.
type marker struct {
	client.Client
	answers map[string][]error // by pod; nil, or no further entry: the attempt succeeds
	marked  []string           // the pods that were tried, in order
}

func (m *marker) Status() client.SubResourceWriter {
	s := markerStatus{m: m}
	if m.Client != nil {
		s.SubResourceWriter = m.Client.Status()
	}
	return s
}

type markerStatus struct {
	client.SubResourceWriter
	m *marker
}

func (s markerStatus) Apply(ctx context.Context, obj runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	if pod, ok := obj.(*corev1ac.PodApplyConfiguration); ok {
		s.m.marked = append(s.m.marked, *pod.Name)
		if answers := s.m.answers[*pod.Name]; len(answers) > 0 {
			s.m.answers[*pod.Name] = answers[1:]
			if answers[0] != nil {
				return answers[0]
			}
		}
		if s.SubResourceWriter == nil {
			return nil
		}
	}
	return s.SubResourceWriter.Apply(ctx, obj, options...)
}

// The standby has the mark of an earlier active runner, so that each pass changes two pods.
func TestMarkActive_ErrorOfEitherPod_IsReturnedOrLoggedOnce(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	refusal := apierrors.NewForbidden(pods, "", errors.New("not permitted"))
	conflict := apierrors.NewConflict(pods, "", errors.New("another pod"))
	gone := apierrors.NewNotFound(pods, "")
	fault := apierrors.NewInternalError(errors.New("no storage"))
	timeout := context.DeadlineExceeded
	for name, tt := range map[string]struct {
		active, standby []error // the answers in consecutive passes
		want            string  // the pods that each pass tries: a(ctive), s(tandby); E: the pass fails; L: it logs
	}{
		"no error":                              {nil, nil, "as as as"},
		"refused":                               {[]error{refusal, refusal, refusal}, nil, "aL a a"},
		"refused for the standby":               {nil, []error{refusal, refusal, refusal}, "asL as as"},
		"refused, permitted and refused again":  {[]error{refusal, nil, refusal}, nil, "aL as aL"},
		"the pod is gone":                       {[]error{gone}, nil, "as as as"},
		"the pod has been replaced":             {[]error{conflict}, []error{conflict}, "as as as"},
		"fault, then permitted":                 {[]error{fault}, nil, "aE as as"},
		"fault for the standby, then permitted": {nil, []error{fault}, "asE as as"},
		"no answer":                             {[]error{timeout, timeout}, nil, "aE aE as"},
		"fault after a refusal":                 {[]error{refusal, fault, refusal}, nil, "aL aE a"},
	} {
		o := observed(withStandby)
		o.pods[1].Annotations = map[string]string{corev1.PodDeletionCost: activeCost}
		m := &marker{answers: map[string][]error{testPod: tt.active, standbyPod: tt.standby}}
		r := &Reconciler{Client: m}
		var passes []string
		for range 3 {
			var text strings.Builder
			ctx := log.IntoContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&text))))
			m.marked = nil
			err := r.markActive(ctx, o)
			pass := strings.NewReplacer(testPod, "a", standbyPod, "s").Replace(strings.Join(m.marked, ""))
			if err != nil {
				pass += "E"
				if failed := m.marked[len(m.marked)-1]; !strings.Contains(err.Error(), failed) {
					t.Errorf("%s: the error does not name pod %s: %v", name, failed, err)
				}
			}
			if text.Len() > 0 {
				pass += "L"
			}
			passes = append(passes, pass)
		}
		if got := strings.Join(passes, " "); got != tt.want {
			t.Errorf("%s: the passes are %s, want %s", name, got, tt.want)
		}
	}
}

func TestMarkActive_FaultOfTheAPIServer_IsRetriedAfterTheRestOfThePass(t *testing.T) {
	b := twoRunners(namespace(t))
	b.Spec.ClassName = "review"
	create(t, b)
	r := operatorOf("review", testRunnerImage)
	reconciled := func(want bool) func(*v1alpha1.MQTTBridge) bool {
		return func(got *v1alpha1.MQTTBridge) bool {
			return wasObserved(b)(got) && (meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling) == nil) == want
		}
	}
	r.passUntil(t, b, "a bridge with a roll-out", reconciled(false))
	createPod(t, runnerPod(b, testPod))
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	reportPair(t, b, testPod, standbyPod, true, nil)
	apiserver.Eventually(t, "a current cache", func(ctx context.Context) (bool, error) { return cacheIsCurrent(ctx, b) })
	fault := apierrors.NewInternalError(errors.New("no storage"))
	r.Client = &marker{Client: r.Client, answers: map[string][]error{testPod: {fault}}}
	pass := func() error {
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)})
		return err
	}
	if err := pass(); !errors.Is(err, fault) {
		t.Errorf("the pass ends with %v, want that it is repeated", err)
	}
	awaitBridge(t, b, "the status of the failed pass", reconciled(true))
	if err := pass(); err != nil {
		t.Error(err)
	}
	if got := costs(t, b); got[testPod] != activeCost || got[standbyPod] != "" {
		t.Errorf("the costs of the deletion are %v", got)
	}
}

// The deleted pod drains and does not hand over. Nothing but the time changes.
func TestTwoRunners_ActivePodDrainsForLong_IsNotReadyAfterTwoSeconds(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	active := runnerPod(b, testPod)
	active.Spec.NodeName, active.Spec.TerminationGracePeriodSeconds = "node-1", ptr.To[int64](drainSeconds)
	createPod(t, active)
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	reportPair(t, b, testPod, standbyPod, true, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	begin := time.Now()
	if err := server.Client.Delete(t.Context(), active); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning)
	// The API server cuts the fractions of a second of the time of the deletion.
	if took := time.Since(begin); took < handOverTime-time.Second || took > handOverTime+2*time.Second {
		t.Errorf("Ready was True for %s after the deletion, want at most %s", took, handOverTime)
	}
	reportPair(t, b, standbyPod, testPod, false, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
}
