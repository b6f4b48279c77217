// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// kubeconfigEnv makes this test program the runner, which uses the API server of this kubeconfig as a
// pod uses the API server of its cluster.
const kubeconfigEnv = "MQTTBRIDGE_TEST_KUBECONFIG"

// server is nil if no API server can run.
var server *apiserver.Server

func TestMain(m *testing.M) {
	if path := os.Getenv(kubeconfigEnv); path != "" {
		inCluster = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", path) }
		main()
		os.Exit(0)
	}
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" { // an API server would take processor time
		os.Exit(m.Run())
	}
	os.Exit(apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return os.Setenv(mqtttest.RunnerEnv, os.Args[0])
	}))
}

const (
	// testLease is the duration of the Lease.
	testLease   = 3 * time.Second
	testTimeout = 30 * time.Second
)

// crew are two runner processes of a bridge between two brokers, with an API server.
type crew struct {
	t             *testing.T
	bridge        *v1alpha1.MQTTBridge
	local, remote *mqtttest.Broker
	runners       [2]*mqtttest.Runner
	// link is the connection of both runners to the API server.
	link      *mqtttest.Proxy
	publisher *traffic.Publisher
	collector *traffic.Collector
}

// newCrew starts the processes, pod-a first, and waits until they have reported their roles.
func newCrew(t *testing.T) *crew {
	t.Helper()
	c := &crew{t: t}
	u, err := url.Parse(apiserver.Need(t, server).Admin.Host)
	if err != nil {
		t.Fatal(err)
	}
	c.link = mqtttest.StartProxy(t, u.Host, 0)
	c.local = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local", Persistence: true})
	c.remote = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", Persistence: true})
	c.createBridge()
	for i, pod := range []string{"pod-a", "pod-b"} {
		c.runners[i] = mqtttest.NewRunner(t, c.bridge)
		c.runners[i].JoinGroup(v1alpha1.ChildName(c.bridge.Name), pod, testLease.String(), kubeconfigEnv+"="+c.kubeconfig())
		c.runners[i].Start()
		c.runners[i].WaitMember(func(m mqtttest.Member) bool { return m.Warm })
	}
	c.waitRoles("pod-a", "pod-b")
	return c
}

// createBridge creates the bridge, and its children that the runners use.
func (c *crew) createBridge() {
	c.t.Helper()
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}
	}
	name := strings.ToLower(strings.ReplaceAll(c.t.Name()[len("TestCrew_"):], "_", "-"))
	c.bridge = &v1alpha1.MQTTBridge{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"}, ObjectMeta: meta(name)}
	c.bridge.Spec = v1alpha1.MQTTBridgeSpec{
		Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: c.local.URL()}}, Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: c.remote.URL()}},
		LocalToRemote: []v1alpha1.Rule{{Filter: "up/#"}},
	}
	child := v1alpha1.ChildName(name)
	for _, object := range []client.Object{c.bridge, &coordinationv1.Lease{ObjectMeta: meta(child)}} {
		if err := server.Client.Create(c.t.Context(), object); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = server.Client.Delete(context.Background(), object) })
	}
	c.bridge.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"}
	c.bridge.ManagedFields = nil
	m := &corev1.ConfigMap{ObjectMeta: meta(child), Data: c.manifest()}
	if err := server.Client.Create(c.t.Context(), m); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = server.Client.Delete(context.Background(), m) })
}

// recreateLease is a user who deletes the Lease, and the operator that creates it again.
func (c *crew) recreateLease() {
	c.t.Helper()
	meta := metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: v1alpha1.ChildName(c.bridge.Name)}
	if err := errors.Join(
		server.Client.Delete(c.t.Context(), &coordinationv1.Lease{ObjectMeta: meta}),
		server.Client.Create(c.t.Context(), &coordinationv1.Lease{ObjectMeta: meta}),
	); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crew) manifest() map[string]string {
	c.t.Helper()
	text, err := yaml.Marshal(c.bridge)
	if err != nil {
		c.t.Fatal(err)
	}
	return map[string]string{v1alpha1.ManifestKey: string(text)}
}

// apply writes the manifest to the ConfigMap, as the operator does.
func (c *crew) apply(change func(*v1alpha1.MQTTBridge)) {
	c.t.Helper()
	change(c.bridge)
	m := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: v1alpha1.ChildName(c.bridge.Name)}
	if err := server.Client.Get(c.t.Context(), key, m); err != nil {
		c.t.Fatal(err)
	}
	m.Data = c.manifest()
	if err := server.Client.Update(c.t.Context(), m); err != nil {
		c.t.Fatal(err)
	}
}

// kubeconfig writes a kubeconfig for a connection by the link.
func (c *crew) kubeconfig() string {
	c.t.Helper()
	text := strings.ReplaceAll(string(server.Kubeconfig()), server.Admin.Host, strings.Replace(c.link.URL(), "mqtt://", "https://", 1))
	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// stored returns the bridge in the API server.
func (c *crew) stored() *v1alpha1.MQTTBridge {
	c.t.Helper()
	b := &v1alpha1.MQTTBridge{}
	if err := server.Client.Get(c.t.Context(), client.ObjectKeyFromObject(c.bridge), b); err != nil {
		c.t.Fatal(err)
	}
	return b
}

// waitReport waits until ok returns nil for the reported status, and returns the bridge.
func (c *crew) waitReport(what string, ok func(*v1alpha1.MQTTBridgeStatus) error) *v1alpha1.MQTTBridge {
	c.t.Helper()
	var b *v1alpha1.MQTTBridge
	mqtttest.Eventually(c.t, testTimeout, what, func() error {
		b = c.stored()
		return ok(&b.Status)
	})
	return b
}

// waitRoles waits until a pod has reported that it is active and that the other one is its warm standby.
// standby may be empty: there is none.
func (c *crew) waitRoles(active, standby string) *v1alpha1.MQTTBridge {
	c.t.Helper()
	return c.waitReport(active+" is active, the standby is "+standby, func(s *v1alpha1.MQTTBridgeStatus) error {
		return errors.Join(checkRoles(s, active, standby), connected(s))
	})
}

func checkRoles(s *v1alpha1.MQTTBridgeStatus, active, standby string) error {
	text := ""
	for i := range s.Runners {
		r := &s.Runners[i]
		if r.Node != "node-of-"+r.Pod || r.Since.IsZero() || (r.Term != nil) != (r.Role == v1alpha1.RunnerActive) {
			return fmt.Errorf("an incomplete entry: %+v", r)
		}
		text += fmt.Sprint(r.Pod, " ", r.Role, " ", r.Warm != nil && *r.Warm, "; ")
	}
	want := active + " Active false; "
	if standby != "" {
		want += standby + " Standby true; "
	}
	if text != want {
		return fmt.Errorf("the runners are %swant %s", text, want)
	}
	return nil
}

func connected(s *v1alpha1.MQTTBridgeStatus) error {
	if s.Local == nil || s.Local.Active == nil || s.Remote == nil || s.Remote.Active == nil {
		return errors.New("a side is not connected")
	}
	return nil
}

// stream starts a stream of messages at QoS 2.
func (c *crew) stream() {
	c.t.Helper()
	c.collector = mqtttest.StartCollector(c.t, "up/x", "up", c.remote)
	c.publisher = mqtttest.StartPublisher(c.t, c.local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 2, Rate: 500, Size: 128})
	c.flow()
}

// flow waits until more messages have arrived.
func (c *crew) flow() {
	c.t.Helper()
	if err := c.collector.WaitCount(c.collector.Count()+250, testTimeout); err != nil {
		c.t.Fatal(err)
	}
}

// judge ends the stream, and checks that no message is lost and, if once is true, that none has arrived
// twice.
func (c *crew) judge(once bool) {
	c.t.Helper()
	if err := c.publisher.StopAndDrain(testTimeout); err != nil {
		c.t.Fatal(err)
	}
	err := c.collector.WaitAll(c.publisher.Ledger(), testTimeout)
	r := traffic.Compare(c.publisher.Ledger(), c.collector.Arrivals())
	c.t.Log(r)
	if err != nil || len(r.Lost) > 0 || once && r.Duplicates > 0 {
		c.t.Errorf("%d messages are lost, and %d have arrived twice (%v)", len(r.Lost), r.Duplicates, err)
	}
}
