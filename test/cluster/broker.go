// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	brokerProgram = "/usr/sbin/mosquitto"
	brokerPort    = 1883
	nameLabel     = "app.kubernetes.io/name"
)

// Broker is a Mosquitto: a Deployment of one pod, its ConfigMap and a Service.
type Broker struct {
	Namespace, Name string
	// ByAddress makes Dial connect to the address of the pod, see DialPodAddress.
	ByAddress bool

	cluster *Cluster
}

// BrokerConfig contains the settings that a bridge's broker needs in addition to Mosquitto's
// defaults: no limit on the backlog, and a large window.
const BrokerConfig = `listener 1883
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 1000
log_dest stdout
`

// CreateBroker creates a broker. config is its mosquitto.conf; files are further files in
// /etc/mosquitto.
func (c *Cluster) CreateBroker(ctx context.Context, namespace, name, image, config string, files map[string]string) (*Broker, error) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{nameLabel: name}}
	data := map[string]string{"mosquitto.conf": config}
	for file, content := range files {
		data[file] = content
	}
	if _, err := c.Client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: data}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Selector: meta.Labels,
		Ports:    []corev1.ServicePort{{Name: "mqtt", Port: brokerPort}},
	}}
	if _, err := c.Client.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: brokerPod(name, image)},
	}}
	if _, err := c.Client.AppsV1().Deployments(namespace).Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	return &Broker{Namespace: namespace, Name: name, cluster: c}, nil
}

// brokerPod returns a pod that meets the restricted Pod Security Standard.
func brokerPod(name, image string) corev1.PodSpec {
	return corev1.PodSpec{
		AutomountServiceAccountToken: ptr.To(false),
		EnableServiceLinks:           ptr.To(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			RunAsUser:      ptr.To[int64](65532),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:    "mosquitto",
			Image:   image,
			Command: []string{brokerProgram, "-c", "/etc/mosquitto/mosquitto.conf"},
			Ports:   []corev1.ContainerPort{{Name: "mqtt", ContainerPort: brokerPort}},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				ReadOnlyRootFilesystem:   ptr.To(true),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			ReadinessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(brokerPort)}},
				PeriodSeconds: 1,
			},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi"),
			}},
			VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/mosquitto"}},
		}},
		Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
		}}},
	}
}

// URL returns the URL of the broker inside the cluster.
func (b *Broker) URL() string {
	return fmt.Sprintf("mqtt://%s.%s.svc:%d", b.Name, b.Namespace, brokerPort)
}

// Dial connects to the broker from outside the cluster.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	if b.ByAddress {
		return b.cluster.DialPodAddress(ctx, b.Namespace, b.selector(), brokerPort)
	}
	return b.cluster.DialPod(ctx, b.Namespace, b.selector(), brokerPort)
}

// Source returns the broker as a source for a collector.
func (b *Broker) Source() traffic.Source { return traffic.Source{Name: b.Name, Dial: b.Dial} }

// dialService connects to the broker by its Service. This machine must reach Services, as it does on the local
// cluster.
func (b *Broker) dialService(ctx context.Context) (net.Conn, error) {
	service, err := b.cluster.Client.CoreV1().Services(b.Namespace).Get(ctx, b.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(brokerPort)))
}

// WaitReady waits until the broker answers MQTT. On the local cluster, it also answers by its Service, as for a
// bridge: the rules of a Service follow its pods with a delay.
func (b *Broker) WaitReady(ctx context.Context, timeout time.Duration) error {
	dial := b.Dial
	if b.cluster.Local {
		dial = b.dialService
	}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		last = traffic.Ping(ctx, dial, "ready")
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("broker %s: %w: %w", b.Name, err, last), b.cluster.explainPods(ctx, b.Namespace, b.selector()))
	}
	return nil
}

// Kill scales the broker to 0 and deletes its pod without a grace period. It returns the time
// before.
func (b *Broker) Kill(ctx context.Context) (time.Time, error) {
	at := time.Now()
	if err := b.scale(ctx, 0); err != nil {
		return at, err
	}
	return at, b.cluster.Client.CoreV1().Pods(b.Namespace).DeleteCollection(ctx,
		metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, metav1.ListOptions{LabelSelector: b.selector()})
}

// Start starts a killed broker again.
func (b *Broker) Start(ctx context.Context) error { return b.scale(ctx, 1) }

// Hide removes the broker from its Service: no new connection by its URL reaches it, but Dial does.
func (b *Broker) Hide(ctx context.Context) error { return b.selectPods(ctx, b.Name+"-hidden") }

// Show reverts Hide.
func (b *Broker) Show(ctx context.Context) error { return b.selectPods(ctx, b.Name) }

func (b *Broker) selectPods(ctx context.Context, name string) error {
	patch := fmt.Sprintf(`{"spec":{"selector":{%q:%q}}}`, nameLabel, name)
	_, err := b.cluster.Client.CoreV1().Services(b.Namespace).Patch(ctx, b.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (b *Broker) scale(ctx context.Context, replicas int32) error {
	deployments := b.cluster.Client.AppsV1().Deployments(b.Namespace)
	scale, err := deployments.GetScale(ctx, b.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = replicas
	_, err = deployments.UpdateScale(ctx, b.Name, scale, metav1.UpdateOptions{})
	return err
}

func (b *Broker) selector() string { return nameLabel + "=" + b.Name }
