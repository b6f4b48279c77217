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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// upgradeFleet is a bridge with one runner and a bridge with two runners, with numbered messages in both
// directions of each.
type upgradeFleet struct {
	t       *testing.T
	worlds  []*world // the index plus one is the number of runners
	streams []*numbered
}

// numbered is a stream of numbered messages in one direction of a bridge.
type numbered struct {
	name      string
	publisher *traffic.Publisher
	collector *traffic.Collector
}

// newUpgradeFleet returns when all runners have the image, and messages arrive.
func newUpgradeFleet(t *testing.T, image string) *upgradeFleet {
	t.Helper()
	f := &upgradeFleet{t: t}
	for n := range int32(2) {
		w := newWorld(t)
		w.bridge.Spec.Replicas = ptr.To(n + 1)
		w.bridge.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "down/#"}}
		w.ready()
		f.worlds = append(f.worlds, w)
		runners := fmt.Sprintf("bridge with %d runner(s), ", n+1)
		f.start(runners+"local to remote", "up", w.local.Dial, w.primary.Source(), w.backup.Source())
		f.start(runners+"remote to local", "down", w.primary.Dial, w.local.Source())
	}
	f.rolledOut(image)
	f.flow()
	return f
}

// start sends 100 messages of QoS 1 a second.
func (f *upgradeFleet) start(name, topic string, from traffic.Dialer, to ...traffic.Source) {
	f.t.Helper()
	collector, err := traffic.StartCollector(f.t.Context(), traffic.CollectorConfig{Sources: to, ClientID: "collector", Filter: topic + "/#"}, eventTimeout)
	must(f.t, err)
	f.t.Cleanup(collector.Close)
	publisher := traffic.StartPublisher(f.t.Context(), traffic.PublisherConfig{Dial: from, ClientID: "publisher", Topic: topic + "/x", QoS: 1, Rate: 100, Size: 128})
	f.t.Cleanup(publisher.Close)
	f.streams = append(f.streams, &numbered{name, publisher, collector})
}

// rolledOut waits until all runners have the image, both bridges are Ready, and the standby is warm.
func (f *upgradeFleet) rolledOut(image string) {
	f.t.Helper()
	for i, w := range f.worlds {
		w.eventually(rolloutTimeout, func() error {
			pods := w.runnerPods()
			for j := range pods {
				if got := pods[j].Spec.Containers[0].Image; got != image {
					return fmt.Errorf("pod %s has the image %s, want %s", pods[j].Name, got, image)
				}
			}
			b := w.get()
			ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
			if len(pods) != i+1 || ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != b.Generation {
				return fmt.Errorf("generation %d has %d pods and the condition %+v, want %d pods and Ready", b.Generation, len(pods), ready, i+1)
			}
			return nil
		})
	}
	f.worlds[1].warm()
}

// change changes a field of each bridge, or removes it with null. It waits until the runners have applied it,
// which needs a running operator.
func (f *upgradeFleet) change(field, value, image string) {
	f.t.Helper()
	for _, w := range f.worlds {
		before := w.get().Generation
		w.kubectl("patch", "mqb", bridgeName, "--type=merge", "-p", fmt.Sprintf(`{"spec":{%q:%s}}`, field, value))
		if w.get().Generation == before {
			f.t.Errorf("spec.%s is %s already, so that nothing has changed", field, value)
		}
	}
	f.rolledOut(image)
}

// runnerPods returns the runner pods of the bridge that have not ended.
func (w *world) runnerPods() []corev1.Pod {
	w.t.Helper()
	list, err := shared.Client.CoreV1().Pods(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + bridgeName})
	must(w.t, err)
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
}

// pods returns the names of all runner pods, with the number of restarts.
func (f *upgradeFleet) pods() string {
	f.t.Helper()
	var names []string
	for _, w := range f.worlds {
		for _, pod := range w.runnerPods() {
			names = append(names, fmt.Sprintf("%s (%d restarts)", pod.Name, pod.Status.ContainerStatuses[0].RestartCount))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// phase runs a step of the administrator, waits until messages arrive after it, and logs the longest time
// without a message in each direction.
func (f *upgradeFleet) phase(name string, step func()) {
	f.t.Helper()
	start := time.Now()
	step()
	f.flow()
	f.t.Logf("%s took %s", name, time.Since(start).Round(100*time.Millisecond))
	for _, s := range f.streams {
		arrivals := slices.DeleteFunc(s.collector.Arrivals(), func(a traffic.Arrival) bool { return a.Time.Before(start) })
		f.t.Logf("%s: %s: longest gap %s", name, s.name, traffic.Compare(traffic.Ledger{}, arrivals).LongestGap.Round(time.Millisecond))
	}
}

// flow waits until 100 more messages have arrived in each direction.
func (f *upgradeFleet) flow() {
	f.t.Helper()
	for _, s := range f.streams {
		if err := s.collector.WaitCount(s.collector.Count()+100, drainTimeout); err != nil {
			f.t.Fatalf("%s: %v", s.name, err)
		}
	}
}

// finish ends the streams, and fails the test if a message is lost or out of order.
func (f *upgradeFleet) finish() {
	f.t.Helper()
	for _, s := range f.streams {
		must(f.t, s.publisher.StopAndDrain(drainTimeout))
		err := s.collector.WaitAll(s.publisher.Ledger(), drainTimeout)
		report := traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals())
		f.t.Logf("%s: %s", s.name, report)
		if err != nil || len(report.Lost)+len(report.Disorder) > 0 {
			f.t.Errorf("%s: %d messages are lost and %d arrived out of order (%v)", s.name, len(report.Lost), len(report.Disorder), err)
		}
	}
}
