# Builds gems for corpus V: ruby make-gems.rb <directory> <copies>
# Public gems would serve better, but a benchmark must run where their registry is out of reach. So each folder of this
# Ruby's standard library becomes <copies> gems of its own, each file with one more line that tells the copies apart; and one
# gem has a C extension. Writes gems/*.gem, the index of a gem server and a Gemfile that names every gem.
require 'fileutils'
require 'rbconfig'
require 'rubygems/indexer'
require 'rubygems/package'

target, copies = File.expand_path(ARGV.fetch(0)), Integer(ARGV.fetch(1))
library = RbConfig::CONFIG.fetch('rubylibdir')
Gem::DefaultUserInteraction.ui = Gem::SilentUI.new
FileUtils.mkdir_p(File.join(target, 'gems'))
names = []

build = lambda do |name, files, extension|
  source = File.join(target, 'source', name)
  files.each do |path, text|
    FileUtils.mkdir_p(File.join(source, File.dirname(path)))
    File.binwrite(File.join(source, path), text)
  end
  Dir.chdir(source) do
    spec = Gem::Specification.new do |s|
      s.name, s.version, s.summary, s.authors = name, '1.0.0', 'corpus V', ['nobody']
      s.license, s.homepage = 'MIT', 'https://example.com'
      s.files = files.keys.sort
      s.extensions = ["ext/#{name}/extconf.rb"] if extension
    end
    FileUtils.mv(Gem::Package.build(spec, true), File.join(target, 'gems'))
  end
  names << name
end

folders = Dir.children(library).select { |name| File.directory?(File.join(library, name)) }.sort
folders.each do |folder|
  paths = Dir.glob("#{folder}/**/*", base: library).select { |path| File.file?(File.join(library, path)) }
  next if paths.empty?

  copies.times do |copy|
    name = "corpus-#{folder.tr('_', '-')}-#{copy}"
    files = paths.to_h { |path| ["lib/#{name}/#{path}", File.binread(File.join(library, path)) + "\n# #{name}\n"] }
    build.call(name, files, false)
  end
end

build.call('corpus_native', {
  'ext/corpus_native/extconf.rb' => "require 'mkmf'\ncreate_makefile('corpus_native')\n",
  'ext/corpus_native/corpus_native.c' => "#include <ruby.h>\nvoid Init_corpus_native(void) { rb_define_module(\"CorpusNative\"); }\n",
}, true)

Gem::Indexer.new(target).generate_index
File.write(File.join(target, 'Gemfile'), <<~GEMFILE)
  source "file://#{target}"
  #{names.map { |name| "gem '#{name}', require: false" }.join("\n")}
GEMFILE
