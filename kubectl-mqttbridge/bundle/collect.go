// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
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

// managedBy is the label that names operatorName on each child of a bridge.
const (
	managedBy    = "app.kubernetes.io/managed-by"
	operatorName = "mqttbridge-operator"
)

// operatorSelectors select the pods and the Deployments of operators. The labels of the first selector do
// not depend on the names that the user of the chart chooses. Operators of earlier versions have the label
// of the second one.
var operatorSelectors = []string{
	"app.kubernetes.io/part-of=mqttbridge,app.kubernetes.io/component=operator",
	"app.kubernetes.io/name=mqttbridge-operator",
}

const (
	// defaultOperatorNamespace is the namespace in the documentation.
	defaultOperatorNamespace = "mqttbridge-system"
	// operatorContainer is the name of the container of the operator.
	operatorContainer = "manager"
)

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
	namespace := c.options.OperatorNamespace
	pods, err := c.operatorPods(ctx, namespace)
	if err != nil && namespace == "" {
		namespace = defaultOperatorNamespace
		pods, err = c.operatorPods(ctx, namespace)
	}
	if err != nil {
		c.miss("operator", cluster.Explain(err, "list", "pods", namespace))
		return
	}
	if len(pods) == 0 {
		c.miss("operator", fmt.Errorf("no pod has the labels %s", strings.Join(operatorSelectors, ", or ")))
	}
	namespaces, leaseNamespaces := map[string]bool{}, map[string]bool{}
	for i := range pods {
		pod := &pods[i]
		namespaces[pod.Namespace] = true
		leaseNamespaces[leaseNamespace(pod)] = true
		c.pod(ctx, fmt.Sprintf("operator/%s/pods/%s", pod.Namespace, pod.Name), pod, operatorContainer)
	}
	for n := range namespaces {
		path := "operator/" + n
		c.names = append(c.names, n)
		deployments, err := c.operatorDeployments(ctx, n)
		c.listed(path+"/deployments.yaml", deployments, cluster.Explain(err, "list", "deployments", n))
		c.events(ctx, path+"/events.txt", n, func(e *corev1.Event) bool { return aboutOperator(e, deployments) })
	}
	for n := range leaseNamespaces {
		leases, err := c.client.Kube.CoordinationV1().Leases(n).List(ctx, metav1.ListOptions{})
		if err == nil {
			leases.Items = slices.DeleteFunc(leases.Items, func(l coordinationv1.Lease) bool { return !isOperatorLease(l.Name) })
		}
		c.listed("operator/"+n+"/leases.yaml", leases, cluster.Explain(err, "list", "leases", n))
	}
}

// operatorPods returns the pods of the operators in a namespace, or in all namespaces if it is empty.
func (c *collector) operatorPods(ctx context.Context, namespace string) (pods []corev1.Pod, err error) {
	seen := map[types.UID]bool{}
	for _, selector := range operatorSelectors {
		list, err := c.client.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			if pod := &list.Items[i]; !seen[pod.UID] {
				seen[pod.UID] = true
				pods = append(pods, *pod)
			}
		}
	}
	return pods, nil
}

// operatorDeployments returns the Deployments of the operators in a namespace.
func (c *collector) operatorDeployments(ctx context.Context, namespace string) (*appsv1.DeploymentList, error) {
	out, seen := &appsv1.DeploymentList{}, map[types.UID]bool{}
	for _, selector := range operatorSelectors {
		list, err := c.client.Kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return out, err
		}
		for i := range list.Items {
			if d := &list.Items[i]; !seen[d.UID] {
				seen[d.UID] = true
				out.Items = append(out.Items, *d)
			}
		}
	}
	return out, nil
}

// aboutOperator reports whether an event is about one of the operators' Deployments, their pods or a
// Lease that they compete for. Other programs may run in the same namespace.
func aboutOperator(e *corev1.Event, operators *appsv1.DeploymentList) bool {
	of := &e.InvolvedObject
	if of.Kind == "Lease" {
		return isOperatorLease(of.Name)
	}
	return slices.ContainsFunc(operators.Items, func(d appsv1.Deployment) bool {
		return of.Kind == "PodDisruptionBudget" && of.Name == d.Name || cluster.AboutDeployment(e, d.Name)
	})
}

// isOperatorLease reports whether operators compete for a Lease of this name. An operator with a class
// puts the class in front.
func isOperatorLease(name string) bool {
	return name == manifest.OperatorLease || strings.HasSuffix(name, "."+manifest.OperatorLease)
}

// leaseNamespace returns the namespace of the Lease that the pod of an operator competes for.
func leaseNamespace(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		for _, arg := range pod.Spec.Containers[i].Args {
			if namespace, ok := strings.CutPrefix(arg, "--leader-election-namespace="); ok {
				return namespace
			}
		}
	}
	return pod.Namespace
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
	foreign := c.children(ctx, path, b)
	c.events(ctx, path+"/events.txt", b.Namespace, func(e *corev1.Event) bool {
		kind := e.InvolvedObject.Kind
		if kind == "ReplicaSet" || kind == "Pod" {
			kind = "Deployment"
		}
		return cluster.AboutBridge(e, b.Name) && !slices.Contains(foreign, kind)
	})

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

// children adds the child objects of a bridge. Of the ConfigMap, only the manifest remains. foreign are the
// kinds of the objects that have the name of a child and are not the operator's.
func (c *collector) children(ctx context.Context, path string, b *v1alpha1.MQTTBridge) (foreign []string) {
	kube, name, n := c.client.Kube, v1alpha1.ChildName(b.Name), b.Namespace
	get := metav1.GetOptions{}
	add := func(kind, resource string, object metav1.Object, err error) {
		file := path + "/" + strings.ToLower(kind) + ".yaml"
		if err == nil && object.GetLabels()[managedBy] != operatorName {
			foreign = append(foreign, kind)
			c.miss(file, fmt.Errorf("the %s %s/%s is not of the operator, and is left out", kind, n, name))
			return
		}
		c.listed(file, object, cluster.Explain(err, "get", resource, n))
	}
	deployment, err := kube.AppsV1().Deployments(n).Get(ctx, name, get)
	add("Deployment", "deployments", deployment, err)
	configMap, err := kube.CoreV1().ConfigMaps(n).Get(ctx, name, get)
	add("ConfigMap", "configmaps", configMap, err)
	claim, err := kube.CoreV1().PersistentVolumeClaims(n).Get(ctx, name, get)
	add("PersistentVolumeClaim", "persistentvolumeclaims", claim, err)
	if b.Spec.Runner != nil && b.Spec.Runner.NetworkPolicy != nil {
		// While a change of the servers is in progress, there are two.
		selector := labels.Set{managedBy: operatorName, "app.kubernetes.io/instance": b.Name}.String()
		policies, err := kube.NetworkingV1().NetworkPolicies(n).List(ctx, metav1.ListOptions{LabelSelector: selector})
		c.listed(path+"/networkpolicies.yaml", policies, cluster.Explain(err, "list", "networkpolicies", n))
	}
	if !b.Spec.HasStandby() {
		return foreign
	}
	lease, err := kube.CoordinationV1().Leases(n).Get(ctx, name, get)
	add("Lease", "leases", lease, err)
	budget, err := kube.PolicyV1().PodDisruptionBudgets(n).Get(ctx, name, get)
	add("PodDisruptionBudget", "poddisruptionbudgets", budget, err)
	return foreign
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
