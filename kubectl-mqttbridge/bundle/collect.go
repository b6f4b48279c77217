// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
)

// Options controls the contents of a bundle.
type Options struct {
	Bridges []v1alpha1.MQTTBridge
	// OperatorNamespace is the namespace of the operator. It is searched in all namespaces if it is
	// empty and the user may list their pods.
	OperatorNamespace string
	// LogLines is the largest number of lines of each log, and LogBytes the largest size.
	LogLines, LogBytes int64
	// Version describes the plugin.
	Version string
	Now     time.Time
}

// operatorLabels select the pods and the Deployment of the operator.
const operatorLabels = "app.kubernetes.io/name=mqttbridge-operator"

// defaultOperatorNamespace is the namespace in the documentation.
const defaultOperatorNamespace = "mqttbridge-system"

type collector struct {
	*Bundle
	client  *cluster.Client
	options *Options
	// seen are the events of namespaces that were read, because many bridges share a namespace.
	seen map[string][]corev1.Event
}

// Collect reads everything that the user may read. A missing right is a problem of the bundle, and no
// error.
func Collect(ctx context.Context, client *cluster.Client, options *Options) *Bundle {
	c := &collector{&Bundle{now: options.Now}, client, options, map[string][]corev1.Event{}}
	c.versions(ctx)
	c.operator(ctx)
	view := fleet.View{}
	for i := range options.Bridges {
		view.Bridges = append(view.Bridges, c.bridge(ctx, &options.Bridges[i]))
	}
	view.Sort()
	var b strings.Builder
	view.WriteTable(&b, fleet.Style{Now: options.Now, Namespaces: true, Wide: true})
	c.addText("fleet.txt", b.String())
	return c.Bundle
}

// versions adds the versions of the plugin, of the API server and of the CRD.
func (c *collector) versions(ctx context.Context) {
	out := map[string]any{"plugin": c.options.Version, "time": c.options.Now.UTC().Format(time.RFC3339)}
	if version, err := c.client.Kube.Discovery().ServerVersion(); err != nil {
		c.miss("versions.yaml", err)
	} else {
		out["apiServer"] = version
	}
	c.addObject("versions.yaml", out)

	const path = "customresourcedefinition.yaml"
	data, err := c.client.Kube.CoreV1().RESTClient().Get().
		AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mqttbridges.mqttbridge.io").DoRaw(ctx)
	if err != nil {
		c.miss(path, cluster.Explain(err, "get", "customresourcedefinitions", ""))
		return
	}
	var crd struct {
		Metadata map[string]any `json:"metadata"`
		Spec     struct {
			Versions []struct {
				Name    string `json:"name"`
				Served  bool   `json:"served"`
				Storage bool   `json:"storage"`
			} `json:"versions"`
		} `json:"spec"`
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(data, &crd); err != nil {
		c.miss(path, err)
		return
	}
	c.addObject(path, crd)
}

// operator adds the Deployments, the pods, the events and the logs of the operators.
func (c *collector) operator(ctx context.Context) {
	core, apps := c.client.Kube.CoreV1(), c.client.Kube.AppsV1()
	selected := metav1.ListOptions{LabelSelector: operatorLabels}
	namespace := c.options.OperatorNamespace
	pods, err := core.Pods(namespace).List(ctx, selected)
	if err != nil && namespace == "" {
		namespace = defaultOperatorNamespace
		pods, err = core.Pods(namespace).List(ctx, selected)
	}
	if err != nil {
		c.miss("operator", cluster.Explain(err, "list", "pods", namespace))
		return
	}
	if len(pods.Items) == 0 {
		c.miss("operator", errors.New("no pod has the label "+operatorLabels))
	}
	namespaces := map[string]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		namespaces[pod.Namespace] = true
		c.pod(ctx, fmt.Sprintf("operator/%s/pods/%s", pod.Namespace, pod.Name), pod, "manager")
	}
	for n := range namespaces {
		path := "operator/" + n
		c.names = append(c.names, n)
		deployments, err := apps.Deployments(n).List(ctx, selected)
		c.listed(path+"/deployments.yaml", deployments, cluster.Explain(err, "list", "deployments", n))
		leases, err := c.client.Kube.CoordinationV1().Leases(n).List(ctx, metav1.ListOptions{})
		c.listed(path+"/leases.yaml", leases, cluster.Explain(err, "list", "leases", n))
		c.events(ctx, path+"/events.txt", n, func(*corev1.Event) bool { return true })
	}
}

// listed adds the answer to a request, or the error.
func (c *collector) listed(path string, answer any, err error) {
	if err != nil {
		c.miss(path, err)
		return
	}
	c.addObject(path, answer)
}

// events adds the events of a namespace that keep selects.
func (c *collector) events(ctx context.Context, path, namespace string, keep func(*corev1.Event) bool) {
	all, ok := c.seen[namespace]
	if !ok {
		var err error
		if all, err = c.client.Events(ctx, namespace, func(*corev1.Event) bool { return true }); err != nil {
			c.miss(path, err)
			return
		}
		c.seen[namespace] = all
	}
	var kept []corev1.Event
	for i := range all {
		if keep(&all[i]) {
			kept = append(kept, all[i])
		}
	}
	var b strings.Builder
	fleet.WriteEvents(&b, kept, fleet.Style{Now: c.options.Now})
	c.addText(path, b.String())
}

// bridge adds everything about a bridge, and returns its state.
func (c *collector) bridge(ctx context.Context, b *v1alpha1.MQTTBridge) fleet.Bridge {
	path := fmt.Sprintf("bridges/%s/%s", b.Namespace, b.Name)
	c.names = append(c.names, b.Namespace, b.Name, v1alpha1.ChildName(b.Name))
	c.names = append(append(c.names, b.Spec.Local.ServerNames()...), b.Spec.Remote.ServerNames()...)
	c.addObject(path+"/bridge.yaml", b)
	c.children(ctx, path, b)
	c.events(ctx, path+"/events.txt", b.Namespace, func(e *corev1.Event) bool { return cluster.AboutBridge(e, b.Name) })

	state := fleet.Of(b)
	sample, err := c.client.Sample(ctx, b)
	if err != nil {
		state.Unknown = err.Error()
	} else {
		state.Count(nil, sample)
	}
	view := fleet.View{Bridges: []fleet.Bridge{state}}
	var text strings.Builder
	view.WriteDetail(&text, fleet.Style{Now: c.options.Now})
	c.addText(path+"/status.txt", text.String())

	pods, err := c.client.Pods(ctx, b)
	if err != nil {
		c.miss(path+"/pods", err)
		return state
	}
	for i := range pods {
		pod := &pods[i]
		podPath := path + "/pods/" + pod.Name
		c.names = append(c.names, pod.Name, pod.Spec.NodeName)
		c.pod(ctx, podPath, pod, cluster.Container)
		files := map[string]string{"/metrics": "metrics.txt", "/status": "status.json"}
		if b.Spec.HasStandby() {
			files["/member"] = "member.json"
		}
		for request, file := range files {
			answer, err := c.client.Ask(ctx, b, pod.Name, request)
			if err != nil {
				c.miss(podPath+"/"+file, err)
				continue
			}
			c.addText(podPath+"/"+file, string(answer))
		}
	}
	return state
}

// children adds the child objects of a bridge. Of the ConfigMap, only the manifest remains.
func (c *collector) children(ctx context.Context, path string, b *v1alpha1.MQTTBridge) {
	kube, name, n := c.client.Kube, v1alpha1.ChildName(b.Name), b.Namespace
	get := metav1.GetOptions{}
	deployment, err := kube.AppsV1().Deployments(n).Get(ctx, name, get)
	c.listed(path+"/deployment.yaml", deployment, cluster.Explain(err, "get", "deployments", n))
	configMap, err := kube.CoreV1().ConfigMaps(n).Get(ctx, name, get)
	c.listed(path+"/configmap.yaml", configMap, cluster.Explain(err, "get", "configmaps", n))
	claim, err := kube.CoreV1().PersistentVolumeClaims(n).Get(ctx, name, get)
	c.listed(path+"/persistentvolumeclaim.yaml", claim, cluster.Explain(err, "get", "persistentvolumeclaims", n))
	if !b.Spec.HasStandby() {
		return
	}
	lease, err := kube.CoordinationV1().Leases(n).Get(ctx, name, get)
	c.listed(path+"/lease.yaml", lease, cluster.Explain(err, "get", "leases", n))
	budget, err := kube.PolicyV1().PodDisruptionBudgets(n).Get(ctx, name, get)
	c.listed(path+"/poddisruptionbudget.yaml", budget, cluster.Explain(err, "get", "poddisruptionbudgets", n))
}

// pod adds a pod and its logs: of the present container, and of the one before if it has ended.
func (c *collector) pod(ctx context.Context, path string, pod *corev1.Pod, container string) {
	c.addObject(path+"/pod.yaml", pod)
	logs := map[string]bool{"log.txt": false}
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == container && s.RestartCount > 0 {
			logs["previous-log.txt"] = true
		}
	}
	for file, previous := range logs {
		options := &corev1.PodLogOptions{Container: container, Previous: previous, Timestamps: true, TailLines: &c.options.LogLines, LimitBytes: &c.options.LogBytes}
		log, err := c.log(ctx, pod, options)
		if err != nil {
			c.miss(path+"/"+file, err)
			continue
		}
		c.addText(path+"/"+file, log)
	}
}

func (c *collector) log(ctx context.Context, pod *corev1.Pod, options *corev1.PodLogOptions) (string, error) {
	stream, err := c.client.Logs(ctx, pod.Namespace, pod.Name, options)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	data, err := io.ReadAll(stream)
	return string(data), err
}
