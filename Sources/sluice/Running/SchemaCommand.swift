// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config

/// `sluice schema`: what a configuration may say, for editors.
struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Print the JSON Schema of the configuration, for editors.",
        usage: "sluice schema > sluice.schema.json",
        discussion: """
            Editors with a YAML language server complete and explain the keys of a file that begins \
            with the line `# yaml-language-server: $schema=sluice.schema.json`, and mark mistakes. \
            `sluice check` finds more: it reads certificates and looks at what keys have to do with \
            each other.
            """ + ExitCodes.help("schema"))

    func run() throws { Output.write(Array(ConfigurationSchema.text.utf8)) }
}
