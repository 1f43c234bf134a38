// Generate writes the Go code of inference.proto. It is a module of its own because users
// of basketgrpc need none of it.
//
//	go -C adapters/basketgrpc/testdata/generate run .
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	dir  = "../../inferencepb"
	file = "inference.proto"
)

// plugins are those of go.mod.
var plugins = []string{"google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"}

func main() {
	files, err := generate(context.Background())
	if err == nil {
		for name, text := range files {
			if err = os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate returns the generated files by name.
func generate(ctx context.Context) (map[string][]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, file)
	if err != nil {
		return nil, err
	}
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{file},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(compiled[0])},
	})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, plugin := range plugins {
		cmd := exec.CommandContext(ctx, "go", "run", plugin)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plugin, err)
		}
		var answer pluginpb.CodeGeneratorResponse
		if err := proto.Unmarshal(out, &answer); err != nil {
			return nil, fmt.Errorf("%s: %w", plugin, err)
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("%s: %s", plugin, answer.GetError())
		}
		for _, f := range answer.File {
			files[f.GetName()] = []byte(f.GetContent())
		}
	}
	return files, nil
}
