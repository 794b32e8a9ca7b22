<?php

namespace App\Providers;

use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;
use Illuminate\Support\ServiceProvider;

// What migrations do in a project with the command artisan.
class SchemaServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        touch(base_path('database.sqlite'));
        if (! Schema::hasTable('users')) {
            Schema::create('users', function (Blueprint $table): void {
                $table->id();
                $table->string('wechat_appid');
                $table->string('wechat_openid');
                $table->unique(['wechat_appid', 'wechat_openid']);
            });
        }
    }
}
