// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// world is a separate namespace with the restricted Pod Security Standard. It contains a local
// broker, two remote brokers and a bridge between them.
type world struct {
	t                      *testing.T
	namespace              string
	local, primary, backup *cluster.Broker
	bridge                 *v1alpha1.MQTTBridge
	publisher              *traffic.Publisher
	collector              *traffic.Collector
}

const bridgeName = "plant-to-cloud"

// newWorld starts the brokers. The test changes the bridge and then applies it.
func newWorld(t *testing.T) *world {
	t.Helper()
	namespace, err := shared.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	must(t, err)
	w := &world{t: t, namespace: namespace.Name}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain()
		}
		_ = shared.Client.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
	})
	w.local = w.broker("local", cluster.BrokerConfig, nil)
	w.primary = w.broker("cloud-1", cluster.BrokerConfig, nil)
	w.backup = w.broker("cloud-2", cluster.BrokerConfig, nil)
	w.bridge = &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: bridgeName},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: w.local.URL()}},
			Remote: v1alpha1.Side{
				Primary: v1alpha1.Server{Name: w.primary.Name, URL: w.primary.URL()},
				Backups: []v1alpha1.Server{{Name: w.backup.Name, URL: w.backup.URL()}},
			},
			LocalToRemote: []v1alpha1.Rule{{Filter: "up/#"}},
		},
	}
	for _, b := range []*cluster.Broker{w.local, w.primary, w.backup} {
		must(t, b.WaitReady(t.Context(), eventTimeout))
	}
	return w
}

func (w *world) broker(name, config string, files map[string]string) *cluster.Broker {
	w.t.Helper()
	b, err := shared.CreateBroker(w.t.Context(), w.namespace, name, brokerImage, config, files)
	must(w.t, err)
	return b
}

// apply applies the bridge with kubectl.
func (w *world) apply() {
	w.t.Helper()
	data, err := yaml.Marshal(w.bridge)
	must(w.t, err)
	_, err = shared.KubectlWithInput(w.t.Context(), string(data), "apply", "-n", w.namespace, "-f", "-")
	must(w.t, err)
}

// ready applies the bridge and waits until it is ready, as a user would.
func (w *world) ready() {
	w.t.Helper()
	w.apply()
	w.kubectl("wait", "mqttbridge/"+bridgeName, "--for=condition=Ready", "--timeout=60s")
}

func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	out, err := shared.Kubectl(w.t.Context(), append([]string{"-n", w.namespace}, args...)...)
	must(w.t, err)
	return out
}

// get returns the bridge from the API server.
func (w *world) get() *v1alpha1.MQTTBridge {
	w.t.Helper()
	b := &v1alpha1.MQTTBridge{}
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "mqb", bridgeName, "-o", "json")), b))
	return b
}

// stream sends 200 messages a second through the bridge.
func (w *world) stream() {
	w.t.Helper()
	var err error
	w.collector, err = traffic.StartCollector(w.t.Context(), traffic.CollectorConfig{
		Sources: []traffic.Source{w.primary.Source(), w.backup.Source()}, ClientID: "collector", Filter: "up/#",
	}, eventTimeout)
	must(w.t, err)
	w.t.Cleanup(w.collector.Close)
	w.publisher = traffic.StartPublisher(w.t.Context(), traffic.PublisherConfig{Dial: w.local.Dial, ClientID: "publisher", Topic: "up/x", QoS: 1, Rate: 200, Size: 128})
	w.t.Cleanup(w.publisher.Close)
	w.flow(200)
}

// flow waits until n more messages have arrived.
func (w *world) flow(n int) {
	w.t.Helper()
	must(w.t, w.collector.WaitCount(w.collector.Count()+n, drainTimeout))
}

// finish ends the stream and fails the test if a message is lost or out of order.
func (w *world) finish() {
	w.t.Helper()
	must(w.t, w.publisher.StopAndDrain(drainTimeout))
	err := w.collector.WaitAll(w.publisher.Ledger(), drainTimeout)
	report := traffic.Compare(w.publisher.Ledger(), w.collector.Arrivals())
	w.t.Log(report)
	if err != nil || len(report.Lost)+len(report.Disorder) > 0 {
		w.t.Errorf("%d messages are lost and %d arrived out of order (%v)", len(report.Lost), len(report.Disorder), err)
	}
}

// condition waits for a condition with the given status and reason, whose message contains the words, and
// returns it.
func (w *world) condition(kind string, status metav1.ConditionStatus, reason string, words ...string) metav1.Condition {
	w.t.Helper()
	var found metav1.Condition
	w.eventually(eventTimeout, func() error {
		c := meta.FindStatusCondition(w.get().Status.Conditions, kind)
		if c == nil || c.Status != status || c.Reason != reason {
			return fmt.Errorf("condition %s is %+v, want %s with reason %s", kind, c, status, reason)
		}
		for _, word := range words {
			if !strings.Contains(c.Message, word) {
				return fmt.Errorf("the message of %s is %q, which does not contain %q", kind, c.Message, word)
			}
		}
		found = *c
		return nil
	})
	return found
}

// event waits for an event of the bridge and returns its note.
func (w *world) event(reason string) string {
	w.t.Helper()
	var note string
	w.eventually(eventTimeout, func() error {
		events, err := shared.Client.EventsV1().Events(w.namespace).List(w.t.Context(), metav1.ListOptions{
			FieldSelector: "regarding.name=" + bridgeName + ",reason=" + reason,
		})
		if err != nil {
			return err
		}
		if len(events.Items) == 0 {
			return fmt.Errorf("no event with reason %s", reason)
		}
		note = events.Items[0].Note
		return nil
	})
	return note
}

// pod waits until the bridge has exactly one runner pod, and returns it.
func (w *world) pod() *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	w.eventually(eventTimeout, func() error {
		pods, err := shared.Client.CoreV1().Pods(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + bridgeName})
		if err != nil {
			return err
		}
		if n := len(pods.Items); n != 1 {
			return fmt.Errorf("%d runner pods, want 1", n)
		}
		pod = &pods.Items[0]
		return nil
	})
	return pod
}

// eventually polls the API server until ok returns nil.
func (w *world) eventually(timeout time.Duration, ok func() error) {
	w.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %v", timeout, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// explain logs the state of the namespace after a failed test.
func (w *world) explain() {
	for _, args := range [][]string{
		{"get", "pods", "-o", "wide"},
		{"get", "mqb", "-o", "yaml"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "-l", "app.kubernetes.io/instance=" + bridgeName, "--tail=40"},
	} {
		out, err := shared.Kubectl(context.Background(), append([]string{"-n", w.namespace}, args...)...)
		w.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
