//! The projects that `caxton new` lays out, as data: each file's path and text.
//!
//! Placeholders in texts: `{{name}}` (the package's name), `{{crate}}` (the same with `_` for `-`).

/// One kind of project in one language.
#[derive(Debug)]
pub(crate) struct Template {
    /// `rust`, `assemblyscript`, `c` or `go`.
    pub(crate) language: &'static str,
    /// `agent` or `processor`.
    pub(crate) kind: &'static str,
    /// The command that runs its tests.
    pub(crate) test: &'static str,
    /// Paths in the new project, and texts with placeholders.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(crate) const TEMPLATES: [Template; 8] = [
    Template {
        language: "rust",
        kind: "agent",
        test: "cargo test",
        files: &[
            ("caxton.toml", include_str!("rust-agent/caxton.toml")),
            ("README.md", include_str!("rust-agent/README.md")),
            (".gitignore", include_str!("rust-agent/gitignore")),
            ("Cargo.toml", include_str!("rust-agent/Cargo.toml.in")),
            (
                ".cargo/config.toml",
                include_str!("rust-agent/cargo-config.toml"),
            ),
            ("src/lib.rs", include_str!("rust-agent/src/lib.rs")),
            ("sdk/Cargo.toml", include_str!("rust-sdk/Cargo.toml.in")),
        ],
    },
    Template {
        language: "rust",
        kind: "processor",
        test: "cargo test",
        files: &[
            ("caxton.toml", include_str!("rust-processor/caxton.toml")),
            ("README.md", include_str!("rust-processor/README.md")),
            (".gitignore", include_str!("rust-processor/gitignore")),
            ("Cargo.toml", include_str!("rust-processor/Cargo.toml.in")),
            (
                ".cargo/config.toml",
                include_str!("rust-processor/cargo-config.toml"),
            ),
            ("src/lib.rs", include_str!("rust-processor/src/lib.rs")),
            ("sdk/Cargo.toml", include_str!("rust-sdk/Cargo.toml.in")),
        ],
    },
    Template {
        language: "assemblyscript",
        kind: "agent",
        test: "npm test",
        files: &[
            (
                "caxton.toml",
                include_str!("assemblyscript-agent/caxton.toml"),
            ),
            ("README.md", include_str!("assemblyscript-agent/README.md")),
            (".gitignore", include_str!("assemblyscript-agent/gitignore")),
            (
                "package.json",
                include_str!("assemblyscript-agent/package.json"),
            ),
            (
                "assembly/index.ts",
                include_str!("assemblyscript-agent/assembly/index.ts"),
            ),
            (
                "assembly/caxton.ts",
                include_str!("../sdk/assemblyscript/caxton.ts"),
            ),
            ("test.mjs", include_str!("assemblyscript-agent/test.mjs")),
            ("host.mjs", include_str!("../sdk/assemblyscript/host.mjs")),
        ],
    },
    Template {
        language: "assemblyscript",
        kind: "processor",
        test: "npm test",
        files: &[
            (
                "caxton.toml",
                include_str!("assemblyscript-processor/caxton.toml"),
            ),
            (
                "README.md",
                include_str!("assemblyscript-processor/README.md"),
            ),
            (
                ".gitignore",
                include_str!("assemblyscript-processor/gitignore"),
            ),
            (
                "package.json",
                include_str!("assemblyscript-processor/package.json"),
            ),
            (
                "assembly/index.ts",
                include_str!("assemblyscript-processor/assembly/index.ts"),
            ),
            (
                "assembly/caxton.ts",
                include_str!("../sdk/assemblyscript/caxton.ts"),
            ),
            (
                "test.mjs",
                include_str!("assemblyscript-processor/test.mjs"),
            ),
            ("host.mjs", include_str!("../sdk/assemblyscript/host.mjs")),
        ],
    },
    Template {
        language: "c",
        kind: "agent",
        test: "make test",
        files: &[
            ("caxton.toml", include_str!("c-agent/caxton.toml")),
            ("README.md", include_str!("c-agent/README.md")),
            (".gitignore", include_str!("c-agent/gitignore")),
            ("Makefile", include_str!("c-agent/Makefile")),
            ("agent.c", include_str!("c-agent/agent.c")),
            ("test.c", include_str!("c-agent/test.c")),
            ("caxton.h", include_str!("../sdk/c/caxton.h")),
            ("caxton_test.h", include_str!("../sdk/c/caxton_test.h")),
        ],
    },
    Template {
        language: "c",
        kind: "processor",
        test: "make test",
        files: &[
            ("caxton.toml", include_str!("c-processor/caxton.toml")),
            ("README.md", include_str!("c-processor/README.md")),
            (".gitignore", include_str!("c-processor/gitignore")),
            ("Makefile", include_str!("c-processor/Makefile")),
            ("processor.c", include_str!("c-processor/processor.c")),
            ("test.c", include_str!("c-processor/test.c")),
            ("caxton.h", include_str!("../sdk/c/caxton.h")),
            ("caxton_test.h", include_str!("../sdk/c/caxton_test.h")),
        ],
    },
    Template {
        language: "go",
        kind: "agent",
        test: "go test ./...",
        files: &[
            ("caxton.toml", include_str!("go-agent/caxton.toml")),
            ("README.md", include_str!("go-agent/README.md")),
            (".gitignore", include_str!("go-agent/gitignore")),
            ("go.mod", include_str!("go-agent/go.mod.in")),
            ("main.go", include_str!("go-agent/main.go")),
            ("main_test.go", include_str!("go-agent/main_test.go")),
            ("caxton/go.mod", include_str!("../sdk/go/go.mod")),
            ("caxton/host.go", include_str!("../sdk/go/host.go")),
            (
                "caxton/imports_native.go",
                include_str!("../sdk/go/imports_native.go"),
            ),
            (
                "caxton/imports_wasip1.go",
                include_str!("../sdk/go/imports_wasip1.go"),
            ),
            ("caxton/json.go", include_str!("../sdk/go/json.go")),
            ("caxton/message.go", include_str!("../sdk/go/message.go")),
        ],
    },
    Template {
        language: "go",
        kind: "processor",
        test: "go test ./...",
        files: &[
            ("caxton.toml", include_str!("go-processor/caxton.toml")),
            ("README.md", include_str!("go-processor/README.md")),
            (".gitignore", include_str!("go-processor/gitignore")),
            ("go.mod", include_str!("go-processor/go.mod.in")),
            ("main.go", include_str!("go-processor/main.go")),
            ("main_test.go", include_str!("go-processor/main_test.go")),
            ("caxton/go.mod", include_str!("../sdk/go/go.mod")),
            ("caxton/host.go", include_str!("../sdk/go/host.go")),
            (
                "caxton/imports_native.go",
                include_str!("../sdk/go/imports_native.go"),
            ),
            (
                "caxton/imports_wasip1.go",
                include_str!("../sdk/go/imports_wasip1.go"),
            ),
            ("caxton/json.go", include_str!("../sdk/go/json.go")),
            ("caxton/message.go", include_str!("../sdk/go/message.go")),
        ],
    },
];
