// Package check reads the files of docs/deploy by the code that reads them where they
// are used: those of Compose, BuildKit and Kubernetes. It is a module of its own, so
// that nobody else fetches them.
package check

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func loadCompose(t *testing.T, text []byte) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "..",
		ConfigFiles: []types.ConfigFile{{Filename: "../compose.yaml", Content: text}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("caddy-wechat", true) })
}

func TestComposeFileLoads(t *testing.T) {
	text := read(t, "compose.yaml")
	project, err := loadCompose(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) < 2 {
		t.Errorf("services %q", project.ServiceNames())
	}
	for name, service := range project.Services {
		for _, secret := range service.Secrets {
			if _, ok := project.Secrets[secret.Source]; !ok {
				t.Errorf("%s: no secret %q", name, secret.Source)
			}
		}
	}
	if _, err := loadCompose(t, bytes.Replace(text, []byte("services:"), []byte("services:\n  odd: { imagine: x }"), 1)); err == nil {
		t.Error("an unknown setting loads")
	}
}

func parseDockerfile(text []byte) (stages []instructions.Stage, warnings []parser.Warning, err error) {
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	stages, _, err = instructions.Parse(result.AST, nil)
	return stages, result.Warnings, err
}

func TestDockerfileParses(t *testing.T) {
	text := read(t, "Dockerfile")
	stages, warnings, err := parseDockerfile(text)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	last := stages[len(stages)-1]
	has := make(map[string]bool)
	for _, command := range last.Commands {
		has[strings.ToLower(command.Name())] = true
	}
	for _, want := range []string{"user", "healthcheck", "copy", "entrypoint"} {
		if !has[want] {
			t.Errorf("the image has no %s", strings.ToUpper(want))
		}
	}
	if _, _, err := parseDockerfile(append(text, "\nHELTHCHECK NONE\n"...)); err == nil {
		t.Error("an unknown instruction parses")
	}
}

func decodeManifests(text []byte) (kinds []string, err error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	for {
		document := make([]byte, 1<<20)
		n, err := documents.Read(document)
		if errors.Is(err, io.EOF) {
			return kinds, nil
		}
		if err != nil {
			return nil, err
		}
		_, kind, err := decoder.Decode(document[:n], nil, nil)
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, kind.Kind)
	}
}

func TestKubernetesManifestsDecodeStrictly(t *testing.T) {
	text := read(t, "kubernetes.yaml")
	kinds, err := decodeManifests(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Deployment", "Service"} {
		if !strings.Contains(strings.Join(kinds, " "), want) {
			t.Errorf("no %s in %q", want, kinds)
		}
	}
	if _, err := decodeManifests(bytes.Replace(text, []byte("replicas:"), []byte("replica:"), 1)); err == nil {
		t.Error("a misspelt field decodes")
	}
}
