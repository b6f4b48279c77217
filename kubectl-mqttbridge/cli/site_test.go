// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// namespace creates a namespace for a test.
func namespace(t *testing.T) string {
	t.Helper()
	apiserver.Need(t, server)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "plant-"}}
	create(t, ns)
	return ns.Name
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := server.Client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// manifestOf returns a bridge between two servers.
func manifestOf(ns, name, local string, remote ...string) *v1alpha1.MQTTBridge {
	b := &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{Name: "plant", URL: local}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{Name: "cloud-a", URL: remote[0]}},
			LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#", Topic: "plant1/${topic}"}},
		},
	}
	for i, url := range remote[1:] {
		b.Spec.Remote.Backups = append(b.Spec.Remote.Backups, v1alpha1.Server{Name: fmt.Sprintf("cloud-%c", 'b'+i), URL: url})
	}
	return b
}

// setStatus writes the status of a bridge, as the operator and the runner do.
func setStatus(ctx context.Context, b *v1alpha1.MQTTBridge, status *v1alpha1.MQTTBridgeStatus) error {
	b.Status = *status
	return server.Client.Status().Update(ctx, b)
}

// A site is a bridge with a real runner between real brokers. A goroutine takes the role of the
// operator: it gives changed manifests to the runner, and writes the status. It reads the fields, so
// that they are constant.
type site struct {
	t         *testing.T
	namespace string
	runner    *mqtttest.Runner
	local     *mqtttest.Broker
	remoteA   *mqtttest.Broker
	remoteB   *mqtttest.Broker
	kubelet   *kubelet
	pod       string
}

const bridgeName = "plant-to-cloud"

// newSite starts a site in a namespace of its own.
func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteIn(t, namespace(t))
}

// newSiteIn starts a site in a namespace.
func newSiteIn(t *testing.T, ns string) *site {
	t.Helper()
	s := &site{t: t, namespace: ns, pod: bridgeName + "-bridge-1"}
	s.local = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	s.remoteA = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "cloud-a"})
	s.remoteB = mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "cloud-b"})
	bridge := manifestOf(s.namespace, bridgeName, s.local.URL(), s.remoteA.URL(), s.remoteB.URL(), "mqtt://"+mqtttest.FreeAddress(t))
	forward := newForward(t)
	bridge.Spec.Runner = &v1alpha1.Runner{MetricsPort: ptr.To(forward.port)}
	create(t, bridge)
	s.runner = mqtttest.StartRunner(t, forRunner(bridge))
	forward.start(s.runner.Address())
	s.kubelet = startKubelet(t, forward.host)
	s.createPod(s.pod, forward.host)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.operate(ctx, bridge.Generation)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	s.await("the bridge is ready", func(b *v1alpha1.MQTTBridge) bool {
		return meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady)
	})
	return s
}

// key returns the key of the bridge.
func (s *site) key() client.ObjectKey {
	return client.ObjectKey{Namespace: s.namespace, Name: bridgeName}
}

// bridge reads the bridge.
func (s *site) bridge() *v1alpha1.MQTTBridge {
	s.t.Helper()
	var b v1alpha1.MQTTBridge
	if err := server.Client.Get(s.t.Context(), s.key(), &b); err != nil {
		s.t.Fatal(err)
	}
	return &b
}

// await waits until the bridge is as wanted.
func (s *site) await(what string, wanted func(*v1alpha1.MQTTBridge) bool) {
	s.t.Helper()
	apiserver.Await(s.t, server.Client, &v1alpha1.MQTTBridgeList{}, s.key(), what, func(b *v1alpha1.MQTTBridge) bool {
		return b != nil && wanted(b)
	})
}

// createPod creates a pod of the bridge on the node of the kubelet.
func (s *site) createPod(name, ip string) {
	s.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "bridge-runner", "app.kubernetes.io/instance": bridgeName}},
		Spec:       corev1.PodSpec{NodeName: s.kubelet.node, Containers: []corev1.Container{{Name: "bridge-runner", Image: "runner"}}},
	}
	create(s.t, pod)
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "bridge-runner", Ready: true, RestartCount: 1, ContainerID: "test://1"}},
	}
	if err := server.Client.Status().Update(s.t.Context(), pod); err != nil {
		s.t.Fatal(err)
	}
}

// forRunner returns the manifest of a bridge that the operator gives to a runner.
func forRunner(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge {
	return &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name, Generation: b.Generation},
		Spec:       *b.Spec.DeepCopy(),
	}
}

// operate takes the role of the operator until the context ends. The runner has the manifest of the
// generation applied.
func (s *site) operate(ctx context.Context, applied int64) {
	var last string
	for sleep(ctx, 100*time.Millisecond) == nil {
		var live v1alpha1.MQTTBridge
		if err := server.Client.Get(ctx, s.key(), &live); err != nil {
			continue
		}
		if live.Generation != applied {
			applied = live.Generation
			next := forRunner(&live)
			next.Generation-- // Update increments it
			s.runner.Update(next)
		}
		status, err := s.runner.Status()
		if err != nil {
			continue
		}
		status.ObservedGeneration = live.Generation
		for i := range status.Runners {
			status.Runners[i].Pod, status.Runners[i].Node, status.Runners[i].Role = s.pod, s.kubelet.node, v1alpha1.RunnerActive
		}
		if len(status.Runners) == 0 {
			status.Runners = []v1alpha1.RunnerStatus{{Pod: s.pod, Node: s.kubelet.node, Role: v1alpha1.RunnerActive, Generation: live.Generation}}
		}
		status.Conditions = []metav1.Condition{v1alpha1.ReadyCondition(&status.Runners[0], status.Local, status.Remote)}
		if live.Spec.Suspend != nil && *live.Spec.Suspend {
			status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSuspended, Message: "no pod is left"}}
		}
		for i := range status.Conditions {
			status.Conditions[i].LastTransitionTime = metav1.NewTime(live.CreationTimestamp.Time)
		}
		if text, _ := json.Marshal(status); string(text) != last && setStatus(ctx, &live, &status) == nil {
			last = string(text)
		}
	}
}

// publish publishes messages on the local side, and waits until the remote side has them.
func (s *site) publish(count int) {
	s.t.Helper()
	id := fmt.Sprint(time.Now().UnixNano())
	from, to := mqtttest.StartClient5(s.t, s.local, "p"+id), mqtttest.StartClient5(s.t, s.remoteA, "c"+id)
	to.Subscribe("plant1/#")
	for range count {
		from.Publish(publication("sensors/t1", strings.Repeat("x", 100)))
	}
	to.Wait("plant1/sensors/t1", count, time.Minute)
}

// A forward accepts connections on an address of this machine that the API server may use as the
// address of a pod, and passes them on to a runner, which listens on the loopback address.
type forward struct {
	t        *testing.T
	listener net.Listener
	host     string
	port     int32
}

func newForward(t *testing.T) *forward {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() || network.IP.To4() == nil {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(network.IP.String(), "0"))
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = listener.Close() })
		port := listener.Addr().(*net.TCPAddr).Port
		return &forward{t, listener, network.IP.String(), int32(port)}
	}
	t.Fatal("the API server does not connect to a loopback address: the test needs a network interface with an IPv4 address")
	return nil
}

func (f *forward) start(target string) {
	go func() {
		for {
			conn, err := f.listener.Accept()
			if err != nil {
				return
			}
			go pass(conn, target)
		}
	}()
}

// allow gives a user rights in a namespace.
func allow(t *testing.T, ns, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: user}, Rules: rules})
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: user},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
	})
	for i := range rules { // the API server learns of new rights by a watch
		r := &rules[i]
		apiserver.Eventually(t, user+" has the rights", func(ctx context.Context) (bool, error) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: ns, Group: r.APIGroups[0], Resource: r.Resources[0], Verb: r.Verbs[0], Name: strings.Join(r.ResourceNames, ""),
			}}}
			err := server.Client.Create(ctx, review)
			return review.Status.Allowed, err
		})
	}
}

// rule is a right on resources of a group.
func rule(group, verbs string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Verbs: strings.Split(verbs, ","), Resources: resources}
}

var viewBridges = rule(v1alpha1.GroupVersion.Group, "get,list,watch", "mqttbridges", "mqttbridges/status")

func keyOf(b *v1alpha1.MQTTBridge) client.ObjectKey { return client.ObjectKeyFromObject(b) }

func portOf(port int32) intstr.IntOrString { return intstr.FromInt32(port) }
