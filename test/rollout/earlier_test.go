// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/controllers"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// makeEarlier gives all Deployments the annotations of an operator that replaced the pod for each
// change of the manifest. No bridge has settings of its pod.
func (c *cluster) makeEarlier() {
	c.t.Helper()
	deployments := &appsv1.DeploymentList{}
	if err := server.Client.List(c.t.Context(), deployments, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	for i := range deployments.Items {
		d, config := &deployments.Items[i], &corev1.ConfigMap{}
		if err := server.Client.Get(c.t.Context(), client.ObjectKeyFromObject(d), config); err != nil {
			c.t.Fatal(err)
		}
		var manifest struct {
			Spec map[string]any `json:"spec"`
		}
		if err := yaml.Unmarshal([]byte(config.Data[v1alpha1.ManifestKey]), &manifest); err != nil {
			c.t.Fatal(err)
		}
		spec := c.hash(map[string]any{"manifest": c.hash(manifest.Spec), "runner": map[string]any{}, "suspend": false})
		applied, err := appsv1ac.ExtractDeployment(d, controllers.FieldOwner)
		if err != nil {
			c.t.Fatal(err)
		}
		delete(applied.Annotations, "mqttbridge.io/pod-spec-hash")
		applied.Annotations["mqttbridge.io/spec-hash"] = spec
		if err := server.Client.Apply(c.t.Context(), applied, client.FieldOwner(controllers.FieldOwner)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// hash returns the hash of fields that the operator stores in annotations.
func (c *cluster) hash(fields map[string]any) string {
	c.t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		c.t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// A runner of the earlier operator does not apply a new topic while it runs.
func TestWindows_UpgradeFromAnEarlierOperator_ChangeOfTheSpecReplacesThePodAtOnce(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)
	c.makeEarlier()
	topic := c.change("bridge-06", newTopic) // while no operator runs
	stop := startOperator(t, imageV2, at(t, 1, 30, 0))
	defer stop()
	c.awaitReplaced(topic)
	c.awaitAllStates(0, bridges-2, 0)
	c.awaitReplaced(c.change("bridge-07", newPod))
	c.awaitReplaced(c.change("bridge-08", newTopic))
	c.awaitReplaced(c.change(pinned, newTopic))
	c.assertImages(map[string]int{imageV1: bridges - 4, imageV2: 4})

	// The earlier runner applies these changes, or they do not concern it.
	c.awaitApplied("bridge-09", c.change("bridge-09", func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{UpdatePolicy: v1alpha1.UpdateOnSpecChange}
	}))
	c.awaitApplied("bridge-10", c.change("bridge-10", func(b *v1alpha1.MQTTBridge) {
		b.Spec.Remote.PreferredServer = &v1alpha1.PreferredServer{Name: "remote"}
	}))
	c.awaitAllStates(0, bridges-5, 0)
	c.assertImages(map[string]int{imageV1: bridges - 4, imageV2: 4})
	c.assertReady(bridges)
	c.assertManifests()

	// With a runner of this version, the running pod applies the next change.
	c.awaitApplied("bridge-08", c.change("bridge-08", func(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].Topic = "y/${topic}" }))
}

func TestRollout_WrongImageAfterAnEarlierOperator_EachChangeOfTheSpecReachesTheRunner(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)
	c.makeEarlier()
	stop := startOperator(t, imageBad)
	defer stop()
	c.awaitEvent(v1alpha1.EventRolloutStopped, "ImagePullBackOff")
	c.awaitStates(bridges-2, 1)
	name := c.waiting(1)[0]
	for _, topic := range []string{"x/${topic}", "y/${topic}"} {
		c.awaitReplaced(c.change(name, func(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].Topic = topic }))
		c.assertImages(map[string]int{imageV1: bridges - 1, imageBad: 1})
	}
	c.awaitStates(bridges-2, 1)
	c.assertManifests()
}
