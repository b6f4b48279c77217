// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// volume creates a volume in a directory of this machine, which is the only node of the local
// cluster. It returns the storage class of this volume, which no other volume has. On another
// cluster it returns the default class.
func volume(t *testing.T, directory, size string) string {
	t.Helper()
	if !shared.Local {
		return defaultClass(t)
	}
	classes, volumes := shared.Client.StorageV1().StorageClasses(), shared.Client.CoreV1().PersistentVolumes()
	class, err := classes.Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{GenerateName: "e2e-"},
		Provisioner:       "kubernetes.io/no-provisioner",
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { _ = classes.Delete(context.Background(), class.Name, metav1.DeleteOptions{}) })
	_, err = volumes.Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: class.Name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              class.Name,
			// A hostPath volume would ignore fsGroup.
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: directory}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpExists}},
			}}}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { _ = volumes.Delete(context.Background(), class.Name, metav1.DeleteOptions{}) })
	return class.Name
}

// defaultClass returns the name of the cluster's default storage class.
func defaultClass(t *testing.T) string {
	t.Helper()
	classes, err := shared.Client.StorageV1().StorageClasses().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for i := range classes.Items {
		if classes.Items[i].Annotations[defaultClassAnnotation] == "true" {
			return classes.Items[i].Name
		}
	}
	t.Skip("the cluster has no default storage class, which this test needs on a cluster that is not the local one")
	return ""
}

// defaultClassAnnotation is the annotation of the default storage class.
const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class"

// metrics returns the metrics of the ready runner pod.
func (w *world) metrics() (mqtttest.Metrics, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return shared.DialPod(ctx, w.namespace, "app.kubernetes.io/instance="+bridgeName, 8080)
	}}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://runner/metrics", http.NoBody)
	must(w.t, err)
	response, err := (&http.Client{Timeout: 10 * time.Second, Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return mqtttest.ParseMetrics(string(body))
}

// onDisk waits until at least n messages are in the buffer on disk.
func (w *world) onDisk(n int) {
	w.t.Helper()
	w.eventually(eventTimeout, func() error {
		m, err := w.metrics()
		if err != nil {
			return err
		}
		if got := m.Sum("mqttbridge_backlog_messages", "direction=localToRemote"); got < float64(n) {
			return fmt.Errorf("%v messages are on disk, want %d", got, n)
		}
		return nil
	})
}

// anotherPod waits until a new pod has replaced the deleted pod and has reported its status, and
// until the status shows its image.
func (w *world) anotherPod(old *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	w.eventually(eventTimeout, func() error {
		pod = w.pod()
		runner, image := w.get().Status.ActiveRunner(), pod.Spec.Containers[0].Image
		if pod.UID == old.UID || runner == nil || runner.Pod != pod.Name || runner.Image != image {
			return fmt.Errorf("pod %s exists with the image %s, and the reported runner is %+v", pod.Name, image, runner)
		}
		return nil
	})
	return pod
}

// deleted deletes the bridge and its claim, and waits until its pod and its claim no longer
// exist.
func (w *world) deleted() {
	w.t.Helper()
	w.kubectl("delete", "mqb", bridgeName)
	w.kubectl("delete", "pvc", "-l", "app.kubernetes.io/instance="+bridgeName, "--wait=false")
	w.eventually(eventTimeout, func() error {
		if left := w.kubectl("get", "pods,pvc", "-l", "app.kubernetes.io/instance="+bridgeName, "-o", "name"); left != "" {
			return fmt.Errorf("objects remain after the deletion of the bridge: %s", left)
		}
		return nil
	})
}

func TestBacklogOnDisk_PodsAndSourceBrokerKilled_IsDelivered(t *testing.T) {
	t.Parallel()
	class := volume(t, t.TempDir(), "64Mi")
	w := newWorld(t)
	w.bridge.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse("64Mi")), StorageClassName: class}}
	w.ready()
	w.stream()
	servers := []*cluster.Broker{w.backup, w.primary}
	for _, b := range servers {
		// The Service excludes the broker until the collector has subscribed again, because these
		// brokers have no persistence.
		must(t, b.Hide(t.Context()))
		_, err := b.Kill(t.Context())
		must(t, err)
	}
	w.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotConnected)

	// Under load, the first pod drains, and the second pod uses the same volume.
	first := w.pod()
	w.kubectl("delete", "pod", first.Name)
	second := w.anotherPod(first)
	must(t, w.publisher.WaitAcknowledged(len(w.publisher.Ledger().Acknowledged)+400, drainTimeout))
	must(t, w.publisher.StopAndDrain(drainTimeout))
	backlog := len(traffic.Compare(w.publisher.Ledger(), w.collector.Arrivals()).Lost)
	if backlog < 400 {
		t.Fatalf("%d messages wait for a server, want at least 400", backlog)
	}
	w.onDisk(backlog)

	// From now on, only the disk has the messages: the local broker has no persistence, and the pod
	// is killed.
	_, err := w.local.Kill(t.Context())
	must(t, err)
	w.kubectl("delete", "pod", second.Name, "--grace-period=0", "--force")
	w.anotherPod(second)
	w.onDisk(backlog)

	for _, b := range servers {
		must(t, b.Start(t.Context()))
		must(t, w.collector.WaitSubscribed(b.Name, 2, eventTimeout))
	}
	start := time.Now()
	for _, b := range servers {
		must(t, b.Show(t.Context()))
	}
	err = w.collector.WaitAll(w.publisher.Ledger(), drainTimeout)
	report := traffic.Compare(w.publisher.Ledger(), w.collector.Arrivals())
	t.Logf("%d messages from the disk within %s of the servers' return: %s", backlog, time.Since(start).Round(time.Millisecond), report)
	if err != nil || len(report.Lost)+len(report.Disorder) > 0 {
		t.Errorf("%d messages are lost and %d arrived out of order (%v)", len(report.Lost), len(report.Disorder), err)
	}
	must(t, w.local.Start(t.Context()))
	w.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)

	w.deleted()
}

func TestBufferOnDisk_NoVolume_StallsWithRemedy(t *testing.T) {
	t.Parallel()
	if !shared.Local {
		t.Skip("this test needs a cluster without a default storage class, such as the local one")
	}
	w := newWorld(t)
	w.bridge.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse("64Mi"))}}
	w.apply()
	const remedy = "name a class in spec.buffer.disk.storageClassName"
	w.condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonVolumeMissing, remedy)
	w.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning, remedy)
	w.bridge.Spec.Buffer.Disk.StorageClassName = volume(t, t.TempDir(), "64Mi")
	w.ready()
	w.deleted()
}
