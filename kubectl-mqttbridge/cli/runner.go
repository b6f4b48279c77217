// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"flag"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// longNames are the names that kubectl gives to flags of one letter.
var longNames = map[string]string{"f": "filename", "o": "output"}

// addFlags adds the flags of a command of the runner.
func addFlags(cmd *cobra.Command, define func(*flag.FlagSet)) {
	flags := flag.NewFlagSet(cmd.Name(), flag.ContinueOnError)
	define(flags)
	flags.VisitAll(func(f *flag.Flag) {
		added := pflag.PFlagFromGoFlag(f)
		if long := longNames[f.Name]; long != "" {
			added.Name, added.Shorthand = long, f.Name
		}
		cmd.Flags().AddFlag(added)
	})
}

func (p *program) checkCommand() *cobra.Command {
	check := &command.Check{Program: name}
	cmd := &cobra.Command{
		Use:   "check [NAME...] [-f FILE...]",
		Short: "Check manifests, and whether their servers can be used",
		Long: `Check manifests of files, or of bridges of the cluster, as the API server does, and report all errors.

With --connect, the check also connects to every server from this machine. Its network may differ from
the network of the runner. The check does not read Secrets from the cluster: --secrets names a
directory with their values.

Exit status: 0 no problem was found, 1 a manifest is invalid or cannot be read, 2 wrong arguments,
3 the manifests are valid and a server cannot be used.`,
		Example: `  kubectl mqttbridge check -f bridge.yaml --secrets ./secrets --connect
  kubectl mqttbridge check plant-to-cloud`,
		ValidArgsFunction: p.completeBridges(-1),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && len(check.Files) == 0 {
				return usageError("name a file by -f, or a bridge of the cluster")
			}
			if problem := check.Problem(); problem != "" {
				return usageError("%s", problem)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			inputs, err := p.inputs(cmd.Context(), check.Files, names)
			if err != nil {
				return err
			}
			return withStatus(check.Run(cmd.Context(), inputs, p.Out, p.ErrOut))
		},
	}
	addFlags(cmd, check.Define)
	p.complete(cmd, "output", fixed("text", formJSON))
	return cmd
}

func (p *program) explainCommand() *cobra.Command {
	explain, bridge := &command.Explain{Program: name}, ""
	cmd := &cobra.Command{
		Use:   "explain TOPIC... [-b NAME | -f FILE]",
		Short: "Show the path of a topic through the rules of bridges",
		Long: `Show the path of the messages of each TOPIC, on each side: the rules that match, the messages that they
publish on the other side, and whether these could come back.

Without -b and -f, it explains the topics for all bridges of the namespace.`,
		Example: `  kubectl mqttbridge explain sensors/t1 -b plant-to-cloud
  kubectl mqttbridge explain sensors/t1 --qos 1 --retain -f bridge.yaml`,
		ValidArgsFunction: fixed(),
		Args: func(_ *cobra.Command, topics []string) error {
			if bridge != "" && explain.File != "" {
				return usageError("--bridge and --filename exclude each other; remove one of them")
			}
			if problem := explain.Problem(topics); problem != "" {
				return usageError("%s", problem)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, topics []string) error {
			inputs, err := p.explained(cmd.Context(), explain.File, bridge, topics)
			if err != nil {
				return err
			}
			return withStatus(explain.Run(inputs, topics, p.Out, p.ErrOut))
		},
	}
	addFlags(cmd, explain.Define)
	cmd.Flags().StringVarP(&bridge, "bridge", "b", "", "the `NAME` of a bridge of the cluster")
	p.complete(cmd, "bridge", p.completeBridges(-1))
	p.complete(cmd, "output", fixed("text", formJSON))
	return cmd
}

func (p *program) importCommand() *cobra.Command {
	imports := &command.Import{Program: name}
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Turn bridge configurations of other brokers into manifests",
		Long: `Turn bridge configurations of NanoMQ, EMQX, HiveMQ Edge and Mosquitto into MQTTBridge manifests and
Secrets. It names each key that has no counterpart, with its line and the reason. The FILE - is the
standard input. The command changes nothing in the cluster: apply the manifests with kubectl apply.

Exit status: 0 complete, 1 error, 2 wrong arguments, 3 something has no counterpart.`,
		Example: "  kubectl mqttbridge import nanomq.conf -n plant > bridges.yaml",
		Args: func(_ *cobra.Command, sources []string) error {
			if problem := imports.Problem(sources); problem != "" {
				return usageError("%s", problem)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, sources []string) error {
			imports.Namespace = *p.flags.Namespace
			return withStatus(imports.Run(sources, p.In, p.Out, p.ErrOut))
		},
	}
	addFlags(cmd, imports.Define)
	return cmd
}

// explained returns the manifests to explain topics for. It notes a topic that is the name of a bridge,
// which the other commands take as an argument.
func (p *program) explained(ctx context.Context, file, bridge string, topics []string) ([]command.Input, error) {
	switch {
	case file != "":
		return p.inputs(ctx, []string{file}, nil)
	case bridge != "":
		return p.inputs(ctx, nil, []string{bridge})
	}
	client, namespace, err := p.connect()
	if err != nil {
		return nil, err
	}
	bridges, err := client.List(ctx, cluster.Selection{Namespace: namespace})
	if err != nil {
		return nil, err
	}
	if len(bridges) == 0 {
		return nil, fmt.Errorf("the namespace %s has no bridge; name another one by -n, or a file by -f", namespace)
	}
	for i := range bridges {
		if slices.Contains(topics, bridges[i].Name) {
			p.tell("note: %[1]s is also the name of a bridge, and is explained as a topic; to explain the topics for this bridge only, use --bridge %[1]s", bridges[i].Name)
		}
	}
	return manifests(bridges)
}

// inputs reads the manifests of files and of bridges of the cluster.
func (p *program) inputs(ctx context.Context, files, names []string) ([]command.Input, error) {
	inputs, err := command.ReadInputs(files, p.In)
	if err != nil || len(names) == 0 {
		return inputs, err
	}
	client, namespace, err := p.connect()
	if err != nil {
		return nil, err
	}
	bridges, err := client.List(ctx, cluster.Selection{Namespace: namespace, Names: names})
	if err != nil {
		return nil, err
	}
	more, err := manifests(bridges)
	return append(inputs, more...), err
}

// manifests returns the manifests of bridges of the cluster. They have the client identifiers in use,
// so that a check never connects with one of them.
func manifests(bridges []v1alpha1.MQTTBridge) ([]command.Input, error) {
	out := make([]command.Input, 0, len(bridges))
	for i := range bridges {
		b := &v1alpha1.MQTTBridge{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
			ObjectMeta: metav1.ObjectMeta{Namespace: bridges[i].Namespace, Name: bridges[i].Name},
			Spec:       *bridges[i].Spec.DeepCopy(),
		}
		for _, s := range sidesOf(&bridges[i]) {
			spec := map[string]*v1alpha1.Side{"local": &b.Spec.Local, "remote": &b.Spec.Remote}[s.name]
			if spec.ClientID == "" && s.status != nil {
				spec.ClientID = s.status.ClientID
			}
		}
		data, err := yaml.Marshal(b)
		if err != nil {
			return nil, err
		}
		out = append(out, command.Input{Name: "mqttbridge/" + b.Namespace + "/" + b.Name, Data: data})
	}
	return out, nil
}
