// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// scenario is a work of the operator that its death interrupts.
type scenario struct {
	bridges  int // that exist before
	policy   v1alpha1.DeletionPolicy
	progress []v1alpha1.DeletionState // of a deletion, that the runner reports
	image    string                   // the default image of the operators that do the work
	act      func(*cluster)           // begins the work, unless the image does
	over     func(context.Context, *cluster) (bool, error)
	event    string        // the reason of an event that must be sent once for each bridge, if it is not empty
	clock    time.Duration // the time by which the clock of the operators differs from the API server's
}

func scenarios() map[string]scenario {
	gone := func(s scenario) scenario {
		s.bridges, s.image, s.act, s.over = 1, imageV1, (*cluster).deleteBridges, noBridges
		return s
	}
	work := []v1alpha1.DeletionState{v1alpha1.DeletionEndingSessions, v1alpha1.DeletionComplete}
	return map[string]scenario{
		"creation":         {image: imageV1, act: func(c *cluster) { c.createBridges(1, v1alpha1.DeletionDrain) }, over: working(1, imageV1)},
		"change of a spec": {bridges: 1, image: imageV1, act: changing(newTopic), over: working(1, imageV1)},
		"change of a pod":  {bridges: 1, image: imageV1, act: changing(newPod), over: working(1, imageV1)},
		"second runner":    {bridges: 1, image: imageV1, act: changing(secondRunner), over: rolling},
		"roll-out":         {bridges: 3, image: imageV2, over: working(3, imageV2)},
		"EndSessions":      gone(scenario{policy: v1alpha1.DeletionEndSessions, progress: work, event: v1alpha1.EventSessionsEnded}),
		"Drain":            gone(scenario{policy: v1alpha1.DeletionDrain, progress: work, event: v1alpha1.EventSessionsEnded}),
		"Drain, which the timeout ends": gone(scenario{
			policy: v1alpha1.DeletionDrain, progress: work[:1], event: v1alpha1.EventDeletionIncomplete, clock: shortestTimeout - 3*time.Second,
		}),
	}
}

// shortestTimeout is the minimum of deletionTimeoutSeconds.
const shortestTimeout = 10 * time.Second

// The operator dies after each of its writes. The next operator must come to the result of an
// operator that does not die, and then write nothing more.
func TestDeath_AfterEachWrite_NextOperatorContinues(t *testing.T) {
	apiserver.Need(t, server)
	for name, s := range scenarios() {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.runDeletions(s.progress...)
			want, died := "", true
			for life := forever; died; life++ {
				if life == 0 {
					continue // without a write, the next operator does all of the work
				}
				want, died = c.interrupt(&s, life, want)
				died = died || life == forever
				if t.Failed() {
					t.Fatalf("the operator died after %d writes", life)
				}
			}
			if c.mostDown() > 1 {
				t.Errorf("%d bridges were down at the same time; want at most 1", c.mostDown())
			}
		})
	}
}

// interrupt lets an operator do the work of a scenario and die after a number of writes, and
// lets another operator continue. It returns the state after the work, which must be as wanted
// unless want is empty.
func (c *cluster) interrupt(s *scenario, life int, want string) (state string, died bool) {
	c.t.Helper()
	if s.bridges > 0 {
		stop := startOperator(c.t, imageV1)
		c.createBridges(s.bridges, s.policy)
		apiserver.Eventually(c.t, "the bridges work", func(ctx context.Context) (bool, error) { return working(s.bridges, imageV1)(ctx, c) })
		stop()
	}
	first, stop := startMortal(c.t, life, s.image, later(s.clock))
	begin := time.Now()
	if s.act != nil {
		s.act(c)
	}
	apiserver.Eventually(c.t, "the end of the work, or of the operator", func(ctx context.Context) (bool, error) {
		over, err := s.over(ctx, c)
		return over || first.died(), err
	})
	stop()
	second, stop := startMortal(c.t, forever, s.image, later(s.clock))
	apiserver.Eventually(c.t, "the end of the work", func(ctx context.Context) (bool, error) { return s.over(ctx, c) })
	took := time.Since(begin)
	c.t.Logf("after %d writes and a death (%t), another operator made:\n%s\nafter:\n%s", life, first.died(), second.written(), first.written())
	if s.clock > 0 && (took < shortestTimeout-s.clock-time.Second || took > shortestTimeout-s.clock+3*time.Second) {
		c.t.Errorf("the bridge is gone %s after its deletion, want %s", took, shortestTimeout-s.clock)
	}
	apiserver.Eventually(c.t, "the event "+s.event, func(ctx context.Context) (bool, error) {
		return s.event == "" || len(c.events(ctx, s.event)) == 1, nil
	})
	if want == "" {
		c.settle(s)
		want = c.mustState()
	}
	last := ""
	if !c.reaches(want, &last) {
		c.t.Errorf("the result differs:\n%s", difference(last, want))
	}
	stop()
	if writes := c.settle(s); writes != "" {
		c.t.Errorf("in a steady state, an operator writes:\n%s", writes)
	}
	if last = c.mustState(); last != want {
		c.t.Errorf("the result changes:\n%s", difference(last, want))
	}
	c.clear()
	return want, first.died()
}

// reaches waits until the state is as wanted. It stores the last state.
func (c *cluster) reaches(want string, last *string) bool {
	c.t.Helper()
	for end := time.Now().Add(apiserver.Timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if *last = c.mustState(); *last == want {
			return true
		}
	}
	return false
}

func (c *cluster) mustState() string {
	c.t.Helper()
	state, err := c.state(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return state
}

// settle runs an operator until it has checked all bridges, and returns its writes.
func (c *cluster) settle(s *scenario) string {
	c.t.Helper()
	before := passes(c.t)
	m, stop := startMortal(c.t, forever, s.image, later(s.clock))
	last := before
	apiserver.Eventually(c.t, "a pass over each bridge", func(context.Context) (bool, error) {
		now := passes(c.t)
		idle := now == last && now-before >= max(1, s.bridges)
		last = now
		return idle, nil
	})
	stop()
	return m.written()
}

// clear deletes everything in the namespace.
func (c *cluster) clear() {
	c.t.Helper()
	c.deleteBridges()
	list := &v1alpha1.MQTTBridgeList{}
	if err := server.Client.List(c.t.Context(), list, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	for i := range list.Items { // no operator removes the finalizer
		noFinalizer := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := server.Client.Patch(c.t.Context(), &list.Items[i], noFinalizer); err != nil {
			c.t.Fatal(err)
		}
	}
	c.collectGarbage()
	if err := server.Client.DeleteAllOf(c.t.Context(), &eventsv1.Event{}, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	apiserver.Eventually(c.t, "an empty namespace", func(ctx context.Context) (bool, error) {
		state, err := c.state(ctx)
		return state == "", err
	})
}

func (c *cluster) deleteBridges() {
	c.t.Helper()
	if err := server.Client.DeleteAllOf(c.t.Context(), &v1alpha1.MQTTBridge{}, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
}

// changing returns a function that changes the spec of a bridge.
func changing(edit func(*v1alpha1.MQTTBridge)) func(*cluster) {
	return func(c *cluster) { c.change("bridge-0", edit) }
}

func (c *cluster) createBridges(n int, policy v1alpha1.DeletionPolicy) {
	c.t.Helper()
	for i := range n {
		b := plainBridge(c.namespace, fmt.Sprintf("bridge-%d", i), i)
		if policy != "" {
			b.Spec.DeletionPolicy, b.Spec.DeletionTimeoutSeconds = &policy, ptr.To(int32(shortestTimeout.Seconds()))
		}
		if err := server.Client.Create(c.t.Context(), b); err != nil {
			c.t.Fatal(err)
		}
		if c.owners == nil {
			c.owners = map[types.UID]bool{}
		}
		c.owners[b.UID] = true
	}
}

func noBridges(ctx context.Context, c *cluster) (bool, error) {
	list := &v1alpha1.MQTTBridgeList{}
	err := server.Client.List(ctx, list, client.InNamespace(c.namespace))
	return len(list.Items) == 0, err
}

// working returns whether n bridges forward with an image, and nothing is left to do.
func working(n int, want string) func(context.Context, *cluster) (bool, error) {
	return func(ctx context.Context, c *cluster) (bool, error) {
		list, deployments := &v1alpha1.MQTTBridgeList{}, &appsv1.DeploymentList{}
		if err := server.Client.List(ctx, list, client.InNamespace(c.namespace)); err != nil {
			return false, err
		}
		if err := server.Client.List(ctx, deployments, client.InNamespace(c.namespace)); err != nil {
			return false, err
		}
		return len(list.Items) == n && len(deployments.Items) == n &&
			!slices.ContainsFunc(list.Items, func(b v1alpha1.MQTTBridge) bool { return !forwards(&b) }) &&
			!slices.ContainsFunc(deployments.Items, func(d appsv1.Deployment) bool {
				return image(&d) != want || d.Labels["mqttbridge.io/health-before-rollout"] != ""
			}), nil
	}
}

// forwards reports whether a bridge forwards with its latest generation.
func forwards(b *v1alpha1.MQTTBridge) bool {
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == b.Generation &&
		b.Status.ObservedGeneration == b.Generation &&
		meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReconciling) == nil
}
