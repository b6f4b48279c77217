// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

const (
	managedBy    = "app.kubernetes.io/managed-by"
	operatorName = "mqttbridge-operator"
)

// secrets are the planted secrets, with the places that hold them.
type secrets map[string]string

// plant returns a new secret for a place.
func (s secrets) plant(place string) string {
	secret := fmt.Sprintf("planted-%02d-x7Qz", len(s))
	s[secret] = place
	return secret
}

// unpack returns the files of a bundle by their paths below the directory of the bundle.
func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		files[name] = string(content)
	}
}

// find reports each file that contains a secret, in any form.
func (s secrets) find(t *testing.T, files map[string]string) {
	t.Helper()
	for name, content := range files {
		for secret, place := range s {
			if strings.Contains(name, secret) {
				t.Errorf("the name %s contains the secret of: %s", name, place)
			}
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
				if strings.Contains(content, form) {
					t.Errorf("%s contains the secret of: %s (%s)", name, place, form)
				}
			}
		}
	}
}

// repeated are the places whose secrets a program may write to its log in any form, because the bundle
// has the place.
var repeated = map[string]bool{
	"query of a URL": true, "second part of a query": true, "label of the bridge": true, "annotation of the bridge": true, "applied manifest": true,
	"user name": true, "value of a header": true, "user name of a proxy": true, "user property": true, "environment of the runner": true,
	"annotation of the pod in the manifest": true, "label of the pod in the manifest": true, "manifest of the ConfigMap": true,
}

// spoiledBridge returns a bridge with a secret in each place of its manifest.
func spoiledBridge(s secrets, ns string, port int32) *v1alpha1.MQTTBridge {
	b := manifestOf(ns, "b", "ws://plant.example/mqtt?token="+s.plant("query of a URL"), "wss://cloud.example/mqtt?x=1&sig="+s.plant("second part of a query"))
	b.Labels = map[string]string{"token": s.plant("label of the bridge")}
	b.Annotations = map[string]string{
		"example.com/note":                                 s.plant("annotation of the bridge"),
		"mqttbridge.io/hand-over":                          s.plant("value of our own annotation"),
		"kubectl.kubernetes.io/last-applied-configuration": fmt.Sprintf(`{"spec":{"remote":{"primary":{"url":"mqtt://u:%s@h"}}}}`, s.plant("applied manifest")),
	}
	b.Spec.Local.Credentials = &v1alpha1.Credentials{Username: &v1alpha1.UsernameSource{Value: s.plant("user name")}, Password: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: "login"}}}
	b.Spec.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	b.Spec.Remote.WebSocket = &v1alpha1.WebSocket{Headers: []v1alpha1.Header{{Name: "x-api-key", Value: s.plant("value of a header")}}}
	b.Spec.Remote.Proxy = &v1alpha1.Proxy{URL: "http://proxy.example:3128", Credentials: &v1alpha1.Credentials{Username: &v1alpha1.UsernameSource{Value: s.plant("user name of a proxy")}}}
	b.Spec.LocalToRemote[0].UserProperties = []v1alpha1.UserProperty{{Name: "token", Value: s.plant("user property")}}
	b.Spec.Runner = &v1alpha1.Runner{
		NetworkPolicy:  &v1alpha1.NetworkPolicy{},
		MetricsPort:    &port,
		Env:            []corev1.EnvVar{{Name: "TOKEN", Value: s.plant("environment of the runner")}},
		PodAnnotations: map[string]string{"vault": s.plant("annotation of the pod in the manifest")},
		PodLabels:      map[string]string{"vault": s.plant("label of the pod in the manifest")},
	}
	return b
}

// spoiledPod returns the template of a pod with a secret in each place.
func spoiledPod(s secrets, of, container string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"token": s.plant(of + ": label")}, Annotations: map[string]string{"vault": s.plant(of + ": annotation")}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "init", Image: "i", Args: []string{"--token", s.plant(of + ": argument of an init container")}}},
			Containers: []corev1.Container{
				{Name: container, Image: "i", Args: []string{"--leader-elect"}, Env: []corev1.EnvVar{{Name: "PASSWORD", Value: s.plant(of + ": environment")}}},
				{
					Name: "sidecar", Image: "i", Command: []string{"sh", "-c", "login " + s.plant(of+": command of a sidecar")},
					LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: portOf(8080), HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: s.plant(of + ": header of a probe")}}}}},
					StartupProbe:  &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"check", s.plant(of + ": command of a probe")}}}},
				},
			},
		},
	}
}

// deploy creates a Deployment and a pod of a template, on a node.
func deploy(t *testing.T, ns, name, node, ip string, labels map[string]string, template corev1.PodTemplateSpec) (pod string) {
	t.Helper()
	for key, value := range labels {
		template.Labels[key] = value
	}
	create(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
	}})
	p := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	p.Namespace, p.Name, p.Spec.NodeName = ns, name+"-1", node
	create(t, p)
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	for i := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: p.Spec.Containers[i].Name, RestartCount: 1, ContainerID: "test://1",
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "login with password=planted-in-termination"}},
		})
	}
	if err := server.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p.Name
}

// spoiledLog returns a log with secrets in all forms that a program writes.
func spoiledLog(s secrets, of string) string {
	const useful = "level=INFO msg=\"connected\" server=cloud-a\n"
	var b strings.Builder
	b.WriteString(useful)
	fmt.Fprintf(&b, "msg=\"dial mqtt://plant:%s@h.example:1883: refused\"\n", s.plant(of+": password of a URL"))
	fmt.Fprintf(&b, "msg=\"GET wss://h.example/mqtt?a=%s\"\n", s.plant(of+": query of a URL"))
	fmt.Fprintf(&b, "level=WARN msg=login password=%s\n", s.plant(of+": password"))
	fmt.Fprintf(&b, "{\"token\":\"%s\"}\n", s.plant(of+": JSON"))
	fmt.Fprintf(&b, "Authorization: Bearer %s\n", s.plant(of+": header"))
	fmt.Fprintf(&b, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", s.plant(of+": key"))
	for secret, place := range s {
		if repeated[place] {
			fmt.Fprintf(&b, "echo %s %s %s\n", secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
		}
	}
	b.WriteString(useful)
	return b.String()
}

func TestReport_PlantedSecrets_AreNotInTheBundle(t *testing.T) {
	ns, operatorNamespace, s := namespace(t), namespace(t), secrets{}
	f := newForward(t)
	runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "# %s\nmqttbridge_messages_forwarded_total{direction=\"localToRemote\",server=\"wss://h/?t=%s\"} 7\n", r.URL.Path, s.plant("answer of the runner to "+r.URL.Path))
	}))
	defer runner.Close()
	f.start(strings.TrimPrefix(runner.URL, "http://"))
	k := startKubelet(t, f.host)

	b := spoiledBridge(s, ns, f.port)
	create(t, b.DeepCopy())
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "login"}, StringData: map[string]string{"password": s.plant("Secret of the bridge")}})
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "pull"}, StringData: map[string]string{"x": s.plant("Secret of the operator")}})
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "b-bridge", Labels: map[string]string{managedBy: operatorName}, Annotations: map[string]string{"a": s.plant("annotation of the ConfigMap")}}, Data: map[string]string{
		"bridge.yaml": "spec: {remote: {primary: {url: \"wss://h.example/?q=" + s.plant("manifest of the ConfigMap") + "\"}}}", "other": s.plant("other key of the ConfigMap"),
	}})
	create(t, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "b-bridge-1", Labels: map[string]string{managedBy: operatorName, "app.kubernetes.io/instance": "b"}, Annotations: map[string]string{"a": s.plant("annotation of the NetworkPolicy")}},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
	})
	create(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: manifest.OperatorLease, Annotations: map[string]string{"a": s.plant("annotation of a Lease")}}})
	event(t, ns, "MQTTBridge", "b", v1alpha1.EventAllServersDown, "refused: password="+s.plant("event"), 0)

	labels := map[string]string{"app.kubernetes.io/name": "bridge-runner", "app.kubernetes.io/instance": "b", managedBy: operatorName}
	pod := deploy(t, ns, "b-bridge", k.node, f.host, labels, spoiledPod(s, "runner", "bridge-runner"))
	operator := deploy(t, operatorNamespace, "mqttbridge-operator", k.node, f.host, map[string]string{"app.kubernetes.io/name": "mqttbridge-operator"}, spoiledPod(s, "operator", "manager"))
	if err := server.Client.Get(t.Context(), keyOf(b), b); err != nil {
		t.Fatal(err)
	}
	status := v1alpha1.MQTTBridgeStatus{Runners: []v1alpha1.RunnerStatus{{Pod: pod, Role: v1alpha1.RunnerActive}}, Remote: &v1alpha1.SideStatus{Servers: []v1alpha1.ServerStatus{
		{Name: "cloud-a", URL: "wss://cloud.example/mqtt", State: v1alpha1.ServerFailed, Since: metav1.Now(), LastError: &v1alpha1.ServerError{Reason: "WebSocketRefused", Message: "token=" + s.plant("message in the status")}},
	}}}
	if err := setStatus(t.Context(), b, &status); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{pod, operator} {
		k.setLog(p, spoiledLog(s, "log of "+p))
		k.setLog(p+"/previous", spoiledLog(s, "previous log of "+p))
	}
	s["planted-in-termination"] = "message of an ended container"

	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	plugin(t, "report", "b", "-n", ns, "--operator-namespace", operatorNamespace, "-o", file).want(t, done, file+": 1 bridge\n")
	plugin(t, "report", "b", "-n", ns, "-o", file).want(t, failed, "exists; remove it, or name another one by -o")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("other users may read the bundle: %v %v", info.Mode(), err)
	}
	files := unpack(t, data)
	s.find(t, files)
	if len(s) < 50 {
		t.Errorf("only %d secrets were planted", len(s))
	}
	checkContents(t, files, path.Join("bridges", ns, "b"), path.Join("operator", operatorNamespace), pod, operator)
}

// checkContents checks that the bundle has what support needs.
func checkContents(t *testing.T, files map[string]string, bridge, operator, pod, operatorPod string) {
	t.Helper()
	pods := path.Join(bridge, "pods", pod)
	for name, text := range map[string]string{
		"versions.yaml": "gitVersion", "customresourcedefinition.yaml": "v1alpha1", "fleet.txt": "NotReady", "missing.txt": "Nothing is missing.",
		bridge + "/bridge.yaml": "filter: sensors/#", bridge + "/status.txt": "WebSocketRefused", bridge + "/events.txt": "AllServersDown",
		bridge + "/deployment.yaml": "bridge-runner", bridge + "/configmap.yaml": "wss://h.example/?...",
		bridge + "/networkpolicies.yaml": "policyTypes",
		pods + "/pod.yaml":               "containerStatuses", pods + "/log.txt": "server=cloud-a", pods + "/previous-log.txt": "server=cloud-a",
		pods + "/metrics.txt": "mqttbridge_messages_forwarded_total", pods + "/status.json": "/status",
		operator + "/deployments.yaml": "--leader-elect", operator + "/leases.yaml": manifest.OperatorLease, operator + "/events.txt": "REASON",
		operator + "/pods/" + operatorPod + "/log.txt": "server=cloud-a",
	} {
		if !strings.Contains(files[name], text) {
			t.Errorf("%s lacks %q:\n%s", name, text, files[name])
		}
	}
}

// The chart gives the operator other names with nameOverride and fullnameOverride.
func TestReport_OperatorWithAnotherName_IsFound(t *testing.T) {
	ns, other := namespace(t), namespace(t)
	create(t, manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	labels := map[string]string{
		"app.kubernetes.io/name": "mqtt", "app.kubernetes.io/instance": "central",
		"app.kubernetes.io/part-of": "mqttbridge", "app.kubernetes.io/component": "operator",
	}
	k := startKubelet(t, "127.0.0.1")
	pod := deploy(t, ns, "mqtt-central", k.node, "127.0.0.1", labels, corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "i", Args: []string{
			"--class=edge", "--leader-election-namespace=" + other,
		}}}},
	})
	k.setLog(pod, "the operator runs")
	create(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "edge." + manifest.OperatorLease}})
	r := plugin(t, "report", "-n", ns, "--operator-namespace", ns, "-o", "-")
	r.want(t, done)
	files := unpack(t, []byte(r.out))
	for file, text := range map[string]string{
		"pods/" + pod + "/log.txt": "the operator runs", "deployments.yaml": "name: mqtt-central",
	} {
		if got := files["operator/"+ns+"/"+file]; !strings.Contains(got, text) {
			t.Errorf("%s lacks %q: %s", file, text, got)
		}
	}
	if got := files["operator/"+other+"/leases.yaml"]; !strings.Contains(got, "edge."+manifest.OperatorLease) {
		t.Errorf("the Leases are %s", got)
	}
}

func TestReport_OtherProgramsInTheNamespaces_AreNotInTheBundle(t *testing.T) {
	ns := namespace(t)
	create(t, manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	k := startKubelet(t, "127.0.0.1")
	deploy(t, ns, operatorName, k.node, "127.0.0.1", map[string]string{"app.kubernetes.io/name": operatorName}, corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "i"}}},
	})
	event(t, ns, "Pod", operatorName+"-5f6d8c9b7d-x2x4z", "BackOff", "of the operator", 0)
	event(t, ns, "Lease", manifest.OperatorLease, "LeaderElection", "of the operator's Lease", 0)
	event(t, ns, "Pod", "shop-0", "BackOff", "foreign event", 0)
	event(t, ns, "Pod", operatorName+"-metrics-5f6d8c9b7d-x2x4z", "BackOff", "foreign event", 0)
	event(t, ns, "Deployment", "b-bridge", "ScalingReplicaSet", "foreign event", 0)
	event(t, ns, "Pod", "b-bridge-5f6d8c9b7d-x2x4z", "BackOff", "foreign event", 0)
	create(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "foreign-lease"}})
	// Objects with the names of child objects that the operator has not created, and does not take over.
	foreign := metav1.ObjectMeta{Namespace: ns, Name: "b-bridge", Annotations: map[string]string{"kubernetes.io/description": "foreign object"}}
	labels := map[string]string{"app": "foreign-object"}
	create(t, &corev1.ConfigMap{ObjectMeta: foreign, Data: map[string]string{"x": "y"}})
	create(t, &appsv1.Deployment{ObjectMeta: foreign, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "foreign-object"}}}},
	}})
	r := plugin(t, "report", "-n", ns, "--operator-namespace", ns, "-o", "-")
	r.want(t, done)
	files := unpack(t, []byte(r.out))
	if got := files["operator/"+ns+"/events.txt"]; !strings.Contains(got, "of the operator") || !strings.Contains(got, "of the operator's Lease") {
		t.Errorf("the events of the operator are %s", got)
	}
	for name, content := range files {
		if strings.Contains(content, "foreign event") || strings.Contains(content, "foreign-") {
			t.Errorf("%s has data of other programs: %s", name, content)
		}
	}
	for _, kind := range []string{"ConfigMap", "Deployment"} {
		if text := "the " + kind + " " + ns + "/b-bridge is not of the operator"; !strings.Contains(files["missing.txt"], text) {
			t.Errorf("missing.txt lacks %q: %s", text, files["missing.txt"])
		}
	}
}

func TestReport_WithoutRights_NamesThem(t *testing.T) {
	s := newSite(t)
	const viewer = "report-viewer"
	allow(t, s.namespace, viewer, viewBridges)
	r := plugin(t, "report", "-n", s.namespace, "--as", viewer, "-o", "-")
	r.want(t, done)
	files := unpack(t, []byte(r.out))
	for _, right := range []string{
		"list pods in the namespace mqttbridge-system", "list pods in the namespace " + s.namespace, "list events in the namespace " + s.namespace,
		"get deployments in the namespace " + s.namespace, "get configmaps in the namespace " + s.namespace, "get customresourcedefinitions in all namespaces",
	} {
		if text := "the right to " + right + " is missing"; !strings.Contains(files["missing.txt"], text) || !strings.Contains(r.err, text) {
			t.Errorf("missing.txt lacks %q:\n%s", text, files["missing.txt"])
		}
	}
	if !strings.Contains(files["bridges/"+s.namespace+"/"+bridgeName+"/status.txt"], "the right to get pods/proxy in the namespace "+s.namespace+" is missing") {
		t.Errorf("the status is %s", files["bridges/"+s.namespace+"/"+bridgeName+"/status.txt"])
	}
	plugin(t, "report", "b", "-A").want(t, usage, "exclude each other")
	plugin(t, "report", "--log-bytes", "0").want(t, usage, "--log-bytes 0")
}
