// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package takeovers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// podTimeout is longer than many pods need to start and to be warm.
	podTimeout = 3 * time.Minute
	// podPoll is the time between two reads of the pods from the API server.
	podPoll = 100 * time.Millisecond
	// probePort is the port on which a pod serves /member and /metrics.
	probePort = 8080
)

// fleetResources are the requests of a pod of a fleet. With the defaults, the pods of 20 bridges would not fit on a node
// with two processors. With much less processor time, they would wait for the programs of the node.
var fleetResources = corev1.ResourceRequirements{Requests: corev1.ResourceList{
	corev1.ResourceCPU: resource.MustParse("40m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
}}

// node is the local cluster with the operator.
type node struct {
	*cluster.Cluster
	api     client.Client
	release *cluster.Release
	// address is the address of the node. Pods and this machine reach it.
	address string
}

// openNode starts the local cluster if it does not run, and installs the operator until the test ends.
func openNode(t *testing.T) *node {
	t.Helper()
	root, err := filepath.Abs("../..")
	must(t, err)
	n := &node{}
	n.Cluster, err = cluster.Up(t.Context(), root, os.Stderr)
	must(t, err)
	background := context.WithoutCancel(t.Context())
	if n.Started {
		t.Cleanup(func() { must(t, n.Down(background)) })
	}
	n.release, err = n.NewRelease(t.Context()) // before any change: the cluster may be in use
	must(t, err)
	must(t, cluster.Heal(t.Context())) // a killed test may have left a cut
	image, err := n.LoadOperatorImage(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, n.release.Uninstall(background)) })
	must(t, n.release.Install(t.Context(), image))

	ctrl.SetLogger(klog.Background())
	scheme := runtime.NewScheme()
	must(t, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	n.api, err = client.New(n.Config, client.Options{Scheme: scheme})
	must(t, err)
	nodes, err := n.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, a := range nodes.Items[0].Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			n.address = a.Address
		}
	}
	return n
}

// freezeAPIServer stops the API server until thawAPIServer or the end of the test.
func (n *node) freezeAPIServer(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { must(t, n.Thaw(context.WithoutCancel(t.Context()), cluster.APIServer)) })
	must(t, n.Freeze(t.Context(), cluster.APIServer))
}

func (n *node) thawAPIServer(t *testing.T) {
	t.Helper()
	must(t, n.Thaw(t.Context(), cluster.APIServer))
}

// site is a namespace on the node and two brokers beside it, for one or more bridges.
type site struct {
	*testing.T
	node          *node
	control       *traffic.Collector
	namespace     string
	local, remote *mqtttest.Broker
	// recorders are in front of the brokers. They are nil if the pods connect to the brokers.
	recorders []*mqtttest.Recorder
}

func newSite(t *testing.T, n *node, control *traffic.Collector) *site {
	t.Helper()
	s := &site{T: t, node: n, control: control}
	for _, b := range []struct {
		name   string
		broker **mqtttest.Broker
	}{{localName, &s.local}, {"remote-1", &s.remote}} {
		*b.broker = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: b.name, Host: n.address})
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "takeovers-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	must(t, n.api.Create(t.Context(), namespace))
	s.namespace = namespace.Name
	t.Cleanup(func() {
		if t.Failed() {
			s.explain()
		}
		must(t, n.api.Delete(context.WithoutCancel(t.Context()), namespace))
		s.waitNoPods()
	})
	return s
}

// waitNoPods waits until the pods of the site have ended, so that they do not disturb the next one.
func (s *site) waitNoPods() {
	s.Helper()
	mqtttest.Eventually(s, podTimeout, "all pods have ended", func() error {
		pods := &corev1.PodList{}
		err := s.node.api.List(context.WithoutCancel(s.Context()), pods, client.InNamespace(s.namespace))
		if err == nil && len(pods.Items) > 0 {
			time.Sleep(podPoll)
			err = fmt.Errorf("%d pods", len(pods.Items))
		}
		return err
	})
}

// explain logs the state of the namespace.
func (s *site) explain() {
	for _, args := range [][]string{
		{"get", "pods", "-o", "wide"},
		{"get", "mqb,leases", "-o", "yaml"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "-l", "app.kubernetes.io/component=runner", "--prefix", "--tail=100"},
	} {
		out, err := s.node.Kubectl(context.WithoutCancel(s.Context()), append([]string{"-n", s.namespace}, args...)...)
		s.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// podWorld is a bridge whose two runners are pods of a site.
type podWorld struct {
	*world
	site *site
	// activePod is the pod that forwards, and standbyPod is its standby. waitRoles and waitTakenOver set
	// them.
	activePod, standbyPod *corev1.Pod
	// from is the active pod before the latest change of roles.
	from *corev1.Pod
	// activations are the numbers of times that the processes of the pods became active, by the name of
	// the pod, at the latest call of waitRoles.
	activations map[string]float64
}

// newPodWorld starts a bridge with streams on a site of its own.
func newPodWorld(t *testing.T, n *node, s *podScenario, version v1alpha1.ProtocolVersion, control *traffic.Collector) *podWorld {
	t.Helper()
	on := newSite(t, n, control)
	if s.recorded {
		on.recorders = []*mqtttest.Recorder{mqtttest.StartRecorder(t, on.local), mqtttest.StartRecorder(t, on.remote)}
	}
	w := on.newBridge("takeover", version, s.lease, false)
	w.waitRoles()
	w.startStreams(rate)
	return w
}

// newBridge creates a bridge with two runners, which may be one of a fleet.
func (s *site) newBridge(name string, version v1alpha1.ProtocolVersion, lease time.Duration, fleet bool) *podWorld {
	s.Helper()
	w := &podWorld{site: s, world: &world{
		TB: s.T, scenario: &scenario{}, control: s.control, local: s.local, remotes: []*mqtttest.Broker{s.remote}, active: s.remote.Name,
	}}
	w.manifest = bridge(name, version, s.local, s.remote)
	w.manifest.Namespace = s.namespace
	w.manifest.Spec.Replicas = ptr.To[int32](2)
	if fleet {
		w.manifest.Spec.Runner = &v1alpha1.Runner{Resources: &fleetResources}
	}
	if lease > 0 {
		w.manifest.Spec.Standby = &v1alpha1.Standby{LeaseDurationSeconds: ptr.To(int32(lease.Seconds()))}
	}
	if s.recorders != nil {
		w.manifest.Spec.Local.Primary.URL, w.manifest.Spec.Remote.Primary.URL = s.recorders[0].URL(), s.recorders[1].URL()
		w.withClientIDs()
	}
	must(s, s.node.api.Create(s.Context(), w.manifest))
	return w
}

// startStreams starts the streams, with a number of messages a second each, and waits until they flow.
func (w *podWorld) startStreams(rate int) {
	w.Helper()
	for _, d := range directions {
		prefix := []string{topicUp, topicDown}[d]
		for _, qos := range []byte{1, 2} {
			name := fmt.Sprintf("%s-%s-%d", w.manifest.Name, prefix, qos)
			topic := fmt.Sprintf("%s/%s/%d", w.manifest.Name, prefix, qos)
			w.streams = append(w.streams, w.newStream(line{d, name, topic, topic, qos, rate}))
		}
	}
	w.observe()
}

// get requests a path from a pod. It needs no API server.
func get(ctx context.Context, pod *corev1.Pod, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(probePort))+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, err
}

// member returns the state of a pod as a member of the group.
func (w *podWorld) member(pod *corev1.Pod) (m mqtttest.Member, err error) {
	body, err := get(w.site.Context(), pod, "/member")
	if err != nil {
		return m, fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	err = json.Unmarshal(body, &m)
	return m, err
}

// activationsOf returns the number of times that the process of a pod became active.
func (w *podWorld) activationsOf(pod *corev1.Pod) (float64, error) {
	body, err := get(w.site.Context(), pod, "/metrics")
	if err != nil {
		return 0, err
	}
	metrics, err := mqtttest.ParseMetrics(string(body))
	return metrics.Sum("mqttbridge_member_activations_total"), err
}

// pods returns the pods of the bridge, also pods that are ending.
func (w *podWorld) pods() ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	err := w.site.node.api.List(w.site.Context(), list, client.InNamespace(w.site.namespace),
		client.MatchingLabels{"app.kubernetes.io/instance": w.manifest.Name})
	return list.Items, err
}

// waitRoles waits until the bridge has exactly two pods, an active one and its warm standby, and
// records them.
func (w *podWorld) waitRoles() {
	w.Helper()
	mqtttest.Eventually(w, podTimeout, "the bridge has an active pod and a warm standby", func() error {
		err := w.readRoles()
		if err != nil {
			time.Sleep(podPoll)
		}
		return err
	})
}

func (w *podWorld) readRoles() error {
	pods, err := w.pods()
	if err != nil {
		return err
	}
	if len(pods) != 2 {
		return fmt.Errorf("%d pods", len(pods))
	}
	var roles [2]*corev1.Pod // active and standby
	for i := range pods {
		m, err := w.member(&pods[i])
		switch {
		case err != nil:
			return err
		case m.State == mqtttest.MemberActive && m.Peer.State == mqtttest.MemberStandby:
			roles[0] = &pods[i]
		case m.State == mqtttest.MemberStandby && m.Warm && m.Peer.State == mqtttest.MemberActive:
			roles[1] = &pods[i]
		default:
			return fmt.Errorf("pod %s is %+v", pods[i].Name, m)
		}
	}
	if roles[0] == nil || roles[1] == nil {
		return errors.New("both pods have the same role")
	}
	activations := map[string]float64{}
	for _, pod := range roles {
		if activations[pod.Name], err = w.activationsOf(pod); err != nil {
			return err
		}
	}
	w.activePod, w.standbyPod, w.activations = roles[0], roles[1], activations
	return nil
}

// checkRoles checks that no role has changed since the latest call of waitRoles.
func (w *podWorld) checkRoles() {
	w.Helper()
	active, before := w.activePod, w.activations
	w.waitRoles()
	if w.activePod.UID != active.UID || w.activations[active.Name] != before[active.Name] {
		w.Errorf("pod %s is active, and the pods became active %v times; want %s and %v times", w.activePod.Name, w.activations, active.Name, before)
	}
}

// waitTakenOver waits until the standby is active, and records the new roles.
func (w *podWorld) waitTakenOver() {
	w.Helper()
	mqtttest.Eventually(w, eventTimeout, "the standby is active", func() error {
		m, err := w.member(w.standbyPod)
		if err == nil && m.State != mqtttest.MemberActive {
			err = fmt.Errorf("%+v", m)
		}
		return err
	})
	w.from = w.activePod
	w.activePod, w.standbyPod = w.standbyPod, w.activePod
}

// checkRecord waits until the status of the bridge describes the change of the active runner from the
// recorded pod to the active one.
func (w *podWorld) checkRecord(reason string) {
	w.Helper()
	mqtttest.Eventually(w, podTimeout, "the status of the bridge has the change", func() error {
		b := &v1alpha1.MQTTBridge{}
		if err := w.site.node.api.Get(w.site.Context(), client.ObjectKeyFromObject(w.manifest), b); err != nil {
			return err
		}
		if r := b.Status.LastTakeover; r == nil || r.From != w.from.Name || r.To != w.activePod.Name || r.Reason != reason {
			time.Sleep(podPoll)
			return fmt.Errorf("the latest change is %+v, want one from %s to %s with the reason %s", r, w.from.Name, w.activePod.Name, reason)
		}
		return nil
	})
}

// podFleet are bridges on one site, whose repetitions of an event are simultaneous.
type podFleet []*podWorld

// fleetRate is the number of messages a second of one line of all bridges of a fleet together: half of the rate of a
// single bridge. Messages that come one by one need more processor time, and a slow node with two processors would fall
// behind.
const fleetRate = rate / 2

// newPodFleet starts a number of bridges with each MQTT version.
func newPodFleet(t *testing.T, n *node, control *traffic.Collector, perVersion int) podFleet {
	t.Helper()
	on := newSite(t, n, control)
	var f podFleet
	for i := range perVersion {
		for j, version := range both {
			f = append(f, on.newBridge(fmt.Sprintf("takeover-%02d-%d", i, j), version, 0, true))
		}
	}
	for _, w := range f {
		w.waitRoles()
	}
	for _, w := range f {
		w.startStreams(fleetRate / len(f))
	}
	return f
}

// bringAbout brings an event about, which counts as a repetition for each bridge.
func (f podFleet) bringAbout(e *event, act func()) {
	from := time.Now()
	act()
	for _, w := range f {
		w.observe()
	}
	for _, w := range f {
		w.windows = append(w.windows, window{e, from, time.Now(), 0})
	}
}

func (f podFleet) judge() {
	for _, w := range f {
		w.judge()
	}
}
